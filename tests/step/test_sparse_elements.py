"""What an element-wise operator makes of spikes is computed, not tabled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from astroedge.step.find_sparsity import find_sparsity
from astroedge.step.sparse_elements import Elementwise
from astroedge.step.sparsity import Resting
from tests.support.operator_steps import FORMS, step_of

FLOAT, BOOL = TensorProto.FLOAT, TensorProto.BOOL
SPIKES, OTHERS = Resting("a", 0.1), Resting("b", 0.2)
ZERO_OR_ONE = frozenset((0.0, 1.0))


def _call(kind: str, inputs: list[str], stored: dict[str, Any] | None = None, **attributes: Any) -> Elementwise:
    """One call: of `s`, `t` and `u` float32 images, `c` a Boolean one, and stored numbers."""
    arrays = {name: np.asarray(value, np.float32) for name, value in (stored or {}).items()}
    logical = kind in ("Not", "And", "Or", "Xor", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal")
    types = {"s": FLOAT, "t": FLOAT, "u": FLOAT, "c": BOOL, "d": BOOL, "z": BOOL if logical else FLOAT}
    types |= dict.fromkeys(arrays, FLOAT)
    node = helper.make_node(kind, inputs, ["z"], **attributes)
    return Elementwise(node, arrays, types, dict.fromkeys(types, 4), [helper.make_opsetid("", 20)])


def _rest(call: Elementwise) -> tuple[float, float] | None:
    """Where the result rests and how often it does not; s and c are spikes, t others, u is anything."""
    found = call.rest({"s": SPIKES, "t": OTHERS, "c": SPIKES})
    return None if found is None else (found.rest, pytest.approx(found.rate))  # type: ignore[return-value]


@pytest.mark.parametrize(
    "kind",
    [
        *("Abs", "Neg", "Sign", "Ceil", "Floor", "Round", "Sqrt", "Tanh", "Sin", "Erf", "Gelu", "Elu", "Selu", "Mish"),
        *("HardSwish", "Softsign", "LeakyRelu", "Relu", "ThresholdedRelu", "Shrink"),
    ],
)
def test_functions_with_f_of_0_equal_to_0_keep_zeros(kind: str) -> None:
    """Zeros behind a function are found by computing it there."""
    assert _rest(_call(kind, ["s"])) == (0.0, 0.1)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (_call("Where", ["c", "two", "zero"], {"two": 2, "zero": 0}), (0.0, 0.1)),
        (_call("Where", ["c", "u", "zero"], {"zero": 0}), (0.0, 0.1)),
        (_call("Where", ["c", "zero", "u"], {"zero": 0}), None),
        (_call("Equal", ["s", "u"]), None),  # 0 is equal to a u of 0
        (_call("Mul", ["u", "s"]), (0.0, 0.1)),
        (_call("Mul", ["t", "s"]), (0.0, 0.1)),
        (_call("Mul", ["s", "mask"], {"mask": np.arange(8) % 3}), (0.0, 0.1)),
        (_call("Div", ["s", "u"]), (0.0, 0.1)),
        (_call("Div", ["u", "s"]), None),
        (_call("Pow", ["s", "two"], {"two": 2}), (0.0, 0.1)),
        (_call("Add", ["s", "t"]), (0.0, 1 - 0.9 * 0.8)),
        (_call("Add", ["s", "u"]), None),
        (_call("Add", ["s", "bias"], {"bias": np.arange(8)}), None),
        (_call("Sub", ["one", "s"], {"one": 1}), (1.0, 0.1)),
        (_call("Exp", ["s"]), (1.0, 0.1)),
        (_call("Min", ["s", "half"], {"half": 0.5}), (0.0, 0.1)),
        (_call("Max", ["s", "half"], {"half": -0.5}), (0.0, 0.1)),
        (_call("Clip", ["s", "zero", ""], {"zero": 0}), (0.0, 0.1)),
        (_call("Greater", ["s", "zero"], {"zero": 0}), (0.0, 0.1)),
        (_call("LessOrEqual", ["s", "zero"], {"zero": 0}), (1.0, 0.1)),
        (_call("Not", ["c"]), (1.0, 0.1)),
        (_call("And", ["d", "c"]), (0.0, 0.1)),
        (_call("Or", ["d", "c"]), None),
    ],
)
def test_operators_rest_where_they_do_whatever_else_there_is(call: Elementwise, expected: Any) -> None:
    """A result rests if its other operands cannot move it; it fires with what it hangs on."""
    assert _rest(call) == expected


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (_call("Mul", ["s", "t"]), {0, 1}),
        (_call("Sub", ["s", "t"]), {-1, 0, 1}),
        (_call("Where", ["c", "s", "two"], {"two": 2}), {0, 1, 2}),
        (_call("Mul", ["s", "weights"], {"weights": np.linspace(1, 2, 9)}), None),
        (_call("Div", ["s", "t"]), None),
        (_call("Add", ["s", "u"]), None),
    ],
)
def test_few_values_of_the_operands_give_few_of_the_result(call: Elementwise, expected: set[float] | None) -> None:
    """Values that a result can have are those of all combinations; more than eight, or infinite ones, are any."""
    found = call.values(dict.fromkeys(("s", "t", "c"), ZERO_OR_ONE))
    assert found == (None if expected is None else frozenset(expected))


@pytest.mark.parametrize("kind", sorted(FORMS))
def test_no_operator_stops_the_walk(kind: str) -> None:
    """Zeros are looked for in every form of an operator that compile meets, float16 and whole numbers included."""
    graph = step_of(kind)
    inputs = tuple(replace(item, firing_rate=0.1) for item in graph.spec.inputs)
    found = find_sparsity(graph.model, replace(graph.spec, inputs=inputs))
    assert found["x"].rate == 0.1
