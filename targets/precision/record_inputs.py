"""What the matrices of a step read when it is stepped in ONNX Runtime on the examples that its graph carries."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroedge.abi.aligned import aligned_zeros
from astroedge.errors import GraphError
from astroedge.step.examples import LEAST_TICKS
from astroedge.step.graph import StepGraph
from astroedge.step.graph_index import infer_types
from astroedge.step.onnx_session import open_session
from astroedge.step.spec import STATE_PREFIX
from astroedge.targets.precision.find_matrices import FoundMatrix, MatrixInput

MOST_NUMBERS = 1 << 28
"""So many float32 numbers of what matrices read are kept, over all ticks: 1 GiB."""
MOST_PRODUCTS = 1 << 40
"""So many multiplications are made to see them, over all ticks: minutes."""


@dataclass(frozen=True)
class RecordedInputs:
    """The values that matrices read, `(ticks, …)` each, by name."""

    ticks: int
    values: Mapping[str, NDArray[np.float32]]

    def of(self, matrix: FoundMatrix) -> NDArray[np.float32]:
        """All that a matrix reads, one product a row [examples, rows], in the order of the ticks."""
        each = [_by_tick(self.values[item.value], item, matrix.rows) for item in matrix.inputs]
        return np.concatenate(each, axis=1).reshape(-1, matrix.rows)


def ticks_to_record(graph: StepGraph, matrices: Collection[FoundMatrix], examples: int) -> int:
    """How many of the example ticks are stepped: fewer where memory or time set a limit, 0 where too few are left."""
    shapes, names = infer_types(graph.model).shapes, _values(matrices)
    if not names or not all(name in shapes for name in names):
        return 0
    numbers = sum(prod(shapes[name]) for name in names)
    products = sum(matrix.columns * prod(shapes[item.value]) for matrix in matrices for item in matrix.inputs)
    ticks = min(examples, MOST_NUMBERS // numbers, MOST_PRODUCTS // products)
    return ticks if ticks >= LEAST_TICKS else 0


def record_inputs(graph: StepGraph, matrices: Iterable[FoundMatrix], ticks: int) -> RecordedInputs:
    """Step the first `ticks` examples of `graph`, one stream from the initial state, and keep what `matrices` read.

    Raises GraphError where ONNX Runtime cannot.
    """
    names, shapes = _values(matrices), infer_types(graph.model).shapes
    recorded = {name: np.empty((ticks, *shapes[name]), np.float32) for name in names}
    fed = {item.name for item in graph.spec.inputs} | {state.input_name for state in graph.spec.states}
    try:
        session = open_session(graph.model, [name for name in names if name not in fed], deterministic=True)
        for tick, values in enumerate(_steps(session, graph, ticks)):
            for name, kept in recorded.items():
                kept[tick] = values[name]
    except GraphError:
        raise
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise GraphError(
            f"ONNX Runtime cannot step the graph on the examples that it carries ({why}); "
            "export the model again, with examples that it is made for."
        ) from error
    return RecordedInputs(ticks, recorded)


def _steps(session: Any, graph: StepGraph, ticks: int) -> Iterator[Mapping[str, NDArray[Any]]]:
    """Inputs, states and outputs of each tick by name.

    ONNX Runtime adds in another order where an input does not begin at an aligned address.
    """
    examples, outputs = graph.examples, [item.name for item in session.get_outputs()]
    feeds = {f"{STATE_PREFIX}{name}": _aligned(value) for name, value in graph.initial_state().items()}
    feeds |= {name: _aligned(data[0]) for name, data in examples.items()}
    for tick in range(ticks):
        for name, data in examples.items():
            feeds[name][...] = data[tick]
        values = dict(zip(outputs, session.run(outputs, feeds), strict=True))
        yield feeds | values
        for state in graph.spec.states:
            feeds[state.input_name][...] = values[state.output_name]


def _aligned(value: NDArray[Any]) -> NDArray[Any]:
    """A copy that begins at a multiple of 64 bytes."""
    copy = aligned_zeros(value.nbytes).view(value.dtype).reshape(value.shape)
    copy[...] = value
    return copy


def _values(matrices: Iterable[FoundMatrix]) -> list[str]:
    return list(dict.fromkeys(item.value for matrix in matrices for item in matrix.inputs))


def _by_tick(values: NDArray[np.float32], item: MatrixInput, rows: int) -> NDArray[np.float32]:
    """Values `(ticks, …)` as [ticks, products, rows]."""
    return (values.swapaxes(1, 2) if item.transposed else values).reshape(len(values), -1, rows)
