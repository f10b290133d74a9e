"""A graph in float64: the plain values, and how far random rounding scatters them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import op_run
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernel

from astroedge.step.float64_kernels import (
    LRN,
    BitCast,
    DequantizeLinear,
    GlobalLpPool,
    MeanVarianceNormalization,
    ReduceLogSumExp,
)
from astroedge.step.float64_step import Float64Step
from astroedge.step.graph_index import infer_types
from astroedge.step.onnx_session import open_session
from astroedge.step.operators import operator
from tests.support import graphs
from tests.support.operator_steps import FORMS, data_of, step_of

COMPILED = sorted(name for name in FORMS if operator(name).imported and not operator(name).refused)
UNEVALUATED = ("MaxRoiPool", "DynamicQuantizeLinear")  # no kernel; rounds a scale to float32 on its way


def evaluate(model: onnx.ModelProto, outputs: list[str], feeds: dict[str, np.ndarray], samples: int = 4) -> list[dict]:
    """The plain evaluation and some rounded ones."""
    step = Float64Step(model, outputs, infer_types(model).elements)
    return [step.run(feeds), *(step.run(feeds, np.random.default_rng(seed)) for seed in range(samples))]


@pytest.mark.parametrize("name", [name for name in COMPILED if name not in UNEVALUATED])
def test_every_operator_has_the_value_that_onnx_runtime_rounds(name: str) -> None:
    """In its plainest form each agrees with ONNX Runtime to float32's rounding; rounded, nearly; integers exactly."""
    model, x = step_of(name).model, data_of(name)[0]
    try:
        expected = open_session(model).run(["y"], {"x": x})[0]
    except NoKernel:
        pytest.skip("ONNX Runtime has no kernel")
    for values, tolerance in zip(evaluate(model, ["y"], {"x": x}, samples=1), (2e-5, 1e-3), strict=True):
        assert values["y"].dtype.kind == expected.dtype.kind
        np.testing.assert_allclose(values["y"], expected, rtol=tolerance, atol=tolerance)


def test_what_needs_no_rounding_is_left_alone() -> None:
    """On grid weights every sum is exact in float32, and so are all evaluations of a network."""
    graph = graphs.recurrent_net()
    feeds = {"x": graphs.random_inputs(graph, 1)["x"][0]}
    feeds.update((f"state.{name}", value) for name, value in graph.initial_state().items())
    names = [item.name for item in graph.model.graph.output]
    plain, *rounded = evaluate(graph.model, names, feeds)
    expected = dict(zip(names, open_session(graph.model).run(names, feeds), strict=True))
    for values in (plain, *rounded):
        for name in names:
            np.testing.assert_array_equal(values[name], expected[name])


def test_rounding_scatters_as_far_as_the_graph_amplifies() -> None:
    """The rest of a sum with a thousand, enlarged a thousand times, is scattered by thousandths; plainly it is not."""
    nodes = [
        helper.make_node("Add", ["x", "large"], ["sum"]),
        helper.make_node("Sub", ["sum", "large"], ["rest"]),
        helper.make_node("Mul", ["rest", "large"], ["y"]),
    ]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [64])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [64])
    graph = helper.make_graph(nodes, "g", [value], [result], [numpy_helper.from_array(np.float32(1000), "large")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    x = np.linspace(0.1, 0.9, 64, dtype=np.float32)
    plain, *rounded = (values["y"] for values in evaluate(model, ["y"], {"x": x}))
    np.testing.assert_allclose(plain, x.astype(np.float64) * 1000, atol=1e-9)
    scattered = np.max([abs(values - plain) for values in rounded], axis=0)
    assert (scattered > 1e-4).mean() > 0.9
    assert scattered.max() < 0.1
    for values in rounded:
        np.testing.assert_array_equal(values, values.astype(np.float32))


@pytest.mark.parametrize(
    "options",
    [
        {"group": 2, "strides": [2, 3], "pads": [1, 0, 2, 1], "output_padding": [1, 0], "dilations": [2, 1]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
        {"output_shape": [10, 11], "strides": [2, 2]},
    ],
)
def test_transposed_convolutions_are_those_of_onnx_runtime(options: dict[str, object]) -> None:
    """Groups, strides, paddings, dilations and shapes that are asked for, with a bias."""
    rng, groups = np.random.default_rng(5), int(options.get("group", 1))  # type: ignore[call-overload]
    x = rng.normal(size=(2, 4, 5, 5)).astype(np.float32)
    stored = {"w": rng.normal(size=(4, 6 // groups, 3, 3)), "b": rng.normal(size=6)}
    constants = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in stored.items()]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node("ConvTranspose", ["x", "w", "b"], ["y"], **options)
    graph = helper.make_graph([node], "g", [value], [result], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    y = Float64Step(model, ["y"], {}).run({"x": x})["y"]
    np.testing.assert_allclose(y, open_session(model).run(["y"], {"x": x})[0], atol=1e-5)


def test_weights_of_a_cubic_are_float64() -> None:
    """A flat image resized is flat to float64's rounding; ONNX's own evaluator is off by 5e-7."""
    node = helper.make_node(
        "Resize", ["x", "", "s"], ["y"], mode="cubic", coordinate_transformation_mode="align_corners"
    )
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 8, 8])
    graph = helper.make_graph([node], "g", [x], [y], [numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "s")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
    values = Float64Step(model, ["y"], {}).run({"x": np.ones((1, 1, 4, 4), np.float32)})["y"]
    np.testing.assert_allclose(values, 1, rtol=0, atol=1e-14)


def test_bit_casts_go_by_the_size_in_the_graph() -> None:
    """Floats that are float64 here have the bits of their 4 bytes as int32, and come back."""
    x = np.array([1.5, -0.0, np.inf])
    bits = kernel(BitCast, x, to=TensorProto.INT32)
    np.testing.assert_array_equal(bits, x.astype(np.float32).view(np.int32))
    np.testing.assert_array_equal(kernel(BitCast, bits, to=TensorProto.DOUBLE), x)


def kernel(kind: type[op_run.OpRun], *operands: np.ndarray, **attributes: object) -> np.ndarray:
    """The first result of one of our own kernels."""
    with np.errstate(divide="ignore"):
        return kind.eval(*operands, **attributes)


def test_kernels_of_our_own_do_what_onnx_says() -> None:
    """Quantised numbers along an axis and in blocks; normalisations and pools by their formulas."""
    stored, scale = np.arange(12, dtype=np.int8).reshape(3, 4), np.array([0.5, 1, 2])
    np.testing.assert_array_equal(kernel(DequantizeLinear, stored, scale, axis=0), stored * scale[:, None])
    pairs, zero = np.array([[0.5, 1], [2, 4], [8, 16]]), np.array([[0, 1], [2, 3], [4, 5]], np.int8)
    blocks = kernel(DequantizeLinear, stored, pairs, zero, axis=1, block_size=2)
    np.testing.assert_array_equal(blocks, (stored - zero.repeat(2, 1)) * pairs.repeat(2, 1))
    x = np.random.default_rng(0).normal(size=(2, 4, 3, 3))
    centred = x - x.mean((0, 2, 3), keepdims=True)
    deviation = np.sqrt(np.square(centred).mean((0, 2, 3), keepdims=True))
    np.testing.assert_allclose(kernel(MeanVarianceNormalization, x), centred / deviation, rtol=1e-7)
    infinite = np.array([[-np.inf, -np.inf], [0, np.inf], [-np.inf, 2]])
    np.testing.assert_array_equal(kernel(ReduceLogSumExp, infinite, np.array([1]), keepdims=0), [-np.inf, np.inf, 2])
    norms = np.sqrt(np.square(x).sum((2, 3), keepdims=True))
    np.testing.assert_allclose(kernel(GlobalLpPool, x, p=2), norms)
    around = np.stack([np.square(x)[:, max(0, c - 1) : c + 2].sum(1) for c in range(4)], 1)
    np.testing.assert_allclose(
        kernel(LRN, x, size=3, alpha=0.375, beta=0.5, bias=1.0), x / np.sqrt(1 + 0.125 * around), rtol=1e-12
    )
