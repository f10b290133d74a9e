"""Inputs that drawn data never has: infinities, huge and denormal numbers, ties, everything equal.

A kernel that is right for ordinary numbers may start a maximum at the lowest finite one, or break a tie otherwise. Each
of these ticks sets all inputs at once; integers stay within the range that they are drawn from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from astroedge.bundle.drawn_values import drawn_values
from astroedge.bundle.manifest import InputField, Kernel
from astroedge.runtimes.checking.golden import draw_field, splitmix64
from astroedge.session import Array

if TYPE_CHECKING:
    from astroedge.step.graph import StepGraph

HUGE = {"float16": 2.0**6, "float32": 2.0**40, "float64": 2.0**300}  # squares of sums of them are finite
DENORMAL = {"float16": 2.0**-20, "float32": 2.0**-135, "float64": 2.0**-1060}
SEED = 0xA57E
ANGLES = {"sin", "cos", "tan"}
FINITE = {"ConvTranspose", "DynamicQuantizeLinear", "GridSample"}
"""Operators whose kernels multiply what lies between elements by 0, divide by the width of a range, or read places."""


@dataclass(frozen=True)
class SpecialInputs:
    """The inputs of one tick, by name, and what is special about them."""

    text: str
    inputs: Mapping[str, Array]


Fill = Callable[[InputField, NDArray[np.uint64]], Array]
"""An input's flat elements, made with a random number for each."""


def special_inputs(
    fields: Sequence[InputField], graph: StepGraph, kernels: Sequence[Kernel] = ()
) -> list[SpecialInputs]:
    """The ticks that the inputs `fields` and `graph` allow; the same at every call, none for a step without inputs.

    A graph that makes integers of floats is given no floats that may lie beyond them: what comes of those is undefined.
    Nor is one with sines, which are defined in a step up to some large angle only. A step whose `kernels` put inputs in
    fixed point is given no infinities, which have none, nor is one with operators of `FINITE`.
    """
    left_out = () if _takes_all_floats(graph) else UNBOUNDED
    finite = any(node.op_type in FINITE for node in graph.model.graph.node)
    if finite or any(kernel.kind == "fixed-point" for kernel in kernels):
        left_out = (*left_out, *INFINITE)
    return [
        SpecialInputs(text, {field.name: _make(field, fill) for field in fields})
        for text, fill in (TICKS.items() if fields else ())
        if text not in left_out
    ]


def _takes_all_floats(graph: StepGraph) -> bool:
    """Whether no node of `graph` makes an integer of a float, or an angle."""
    from astroedge.step.graph_index import infer_types
    from astroedge.step.operators import operator

    nodes = graph.model.graph.node
    if any(ANGLES.intersection(operator(node.op_type).functions) for node in nodes):
        return False

    elements = infer_types(graph.model).elements
    floats, integers = (1, 10, 11), (2, 3, 5, 6, 7, 12, 13)  # as ONNX's TensorProto numbers them
    casts = [node for node in nodes if node.op_type in ("Cast", "CastLike")]
    return not any(elements.get(node.input[0]) in floats and elements.get(node.output[0]) in integers for node in casts)


def _make(field: InputField, fill: Fill) -> Array:
    numbers = splitmix64(SEED, 0, int(np.prod(field.shape, dtype=np.int64)))
    floating = field.dtype.startswith("float")
    filled = fill(field, numbers) if floating else _integers(field, fill, numbers)
    return np.asarray(filled).astype(field.dtype).reshape(field.shape)


def _integers(field: InputField, fill: Fill, numbers: NDArray[np.uint64]) -> Array:
    """The lowest or highest that is drawn, as the float that `fill` would give is below or above 0; else drawn."""
    low, high = (field.low, field.high - 1) if field.draw == "index" else (0, 1)
    if field.draw == "values":
        low, high = int(_values(field).min()), int(_values(field).max())
    signs = np.asarray(fill(_UNIT, numbers), np.float64)
    drawn = draw_field(field, numbers).astype(np.int64)
    return np.where(signs == 0, drawn, np.where(signs < 0, low, high))


_UNIT = InputField("", (), "float32", 0, 4, True, False, 0, 0, "uniform", 0)


def _values(field: InputField) -> Array:
    """The numbers of a field's table."""
    values = drawn_values(field)
    assert values is not None, f"the values of {field.name!r} do not fit {field.dtype}"
    return values.astype(np.float64)


def _span(field: InputField) -> float:
    """The largest number that is drawn."""
    if field.draw == "values":
        return float(np.abs(_values(field)).max())
    return 2.0**field.draw_parameter if field.draw == "uniform" else 1.0


def _sign(numbers: NDArray[np.uint64]) -> Array:
    """−1 or 1."""
    return np.where(numbers >> np.uint64(63), 1.0, -1.0)


def _some(numbers: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """True for about one element in four."""
    some: NDArray[np.bool_] = (numbers >> np.uint64(20) & np.uint64(3)) == 0
    return some


def _fill(value: float) -> Fill:
    return lambda field, numbers: np.full(numbers.size, value)


def _fill_span(sign: float) -> Fill:
    return lambda field, numbers: np.full(numbers.size, sign * _span(field))


def _few_values(field: InputField, numbers: NDArray[np.uint64]) -> Array:
    return np.where(_some(numbers), 0.0, _sign(numbers)) * _span(field)


def _scattered(table: Mapping[str, float]) -> Fill:
    return lambda field, numbers: _sign(numbers) * table[field.dtype]


def _among_drawn(value: float) -> Fill:
    return lambda field, numbers: np.where(_some(numbers), value, draw_field(field, numbers).astype(np.float64))


TICKS: dict[str, Fill] = {
    "inputs all 0": _fill(0.0),
    "inputs all equal": _fill_span(1.0),
    "inputs all equal and negative": _fill_span(-1.0),
    "inputs of three values": _few_values,
    "denormal inputs": _scattered(DENORMAL),
    "huge inputs": _scattered(HUGE),
    "inputs all −∞": _fill(-np.inf),
    "inputs all ∞": _fill(np.inf),
    "some inputs −∞": _among_drawn(-np.inf),
    "some inputs ∞": _among_drawn(np.inf),
}
INFINITE = tuple(text for text in TICKS if "∞" in text)
UNBOUNDED = ("huge inputs", *INFINITE)
