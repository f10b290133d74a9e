"""The largest operand of a value agrees with what is worked out by hand, for every operator that is followed."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, shape_inference

from astroedge.runtimes.checking.error_bounds import Magnitudes
from astroedge.session import Array

A = np.array([[3.0, -1.0], [0.5, 2.0]], np.float32)
B = np.array([[-3.0, 4.0], [0.25, -1.0]], np.float32)
W = np.array([[2.0, -0.5], [0.5, -8.0]], np.float32)


def largest_operand(
    nodes: list[onnx.NodeProto], constants: dict[str, Array] | None = None, opset: int = 18
) -> tuple[Array, Array]:
    """`y` and its largest operands, for `nodes` that compute `y` from the inputs `a` and `b`."""
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in "ab"]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    stored = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(nodes, "test", inputs, [output], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    model = shape_inference.infer_shapes(model, data_prop=True)
    magnitudes = Magnitudes(model)
    largest = magnitudes.of("y")
    model.graph.node.extend(magnitudes.nodes)
    model.graph.initializer.extend(magnitudes.constants)
    model.graph.output.append(helper.make_tensor_value_info(largest, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    value, magnitude = session.run(["y", largest], {"a": A, "b": B})
    assert magnitude.shape == value.shape
    return value, magnitude


def node(operator: str, *inputs: str, **options: object) -> onnx.NodeProto:
    """The node that makes `y`."""
    return helper.make_node(operator, list(inputs), ["y"], **options)


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("Add", np.maximum(abs(A), abs(B))),
        ("Sub", np.maximum(abs(A), abs(B))),
        ("Mul", abs(A * B)),
        ("Div", abs(A / B)),
    ],
)
def test_two_operands(operator: str, expected: Array) -> None:
    """A sum's operands stay visible where they cancel; a product of two leaves is its own operand."""
    assert np.array_equal(largest_operand([node(operator, "a", "b")])[1], expected)


def test_a_sum_is_followed_through_what_comes_after() -> None:
    """((a + b) · 4 moved and clipped) has four times the sum's operands, or its own size if larger, moved alike."""
    nodes = [
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Mul", ["sum", "four"], ["product"]),
        helper.make_node("Transpose", ["product"], ["moved"]),
        node("Relu", "moved"),
    ]
    value, largest = largest_operand(nodes, {"four": np.array(4, np.float32)})
    assert np.array_equal(largest, 4 * np.maximum.reduce([abs(A), abs(B), abs(A + B)]).T)
    assert value[0, 0] == 0 < largest[0, 0]


def test_a_matrix_product_is_bounded_by_row_and_column() -> None:
    """Largest |x| of the row times largest |W| of the column, or |x W|, whether W is stored or computed."""
    bound = abs(A).max(1, keepdims=True) * abs(W).max(0, keepdims=True)
    value, stored = largest_operand([node("MatMul", "a", "W")], {"W": W})
    assert np.array_equal(stored, np.maximum(bound, abs(value)))
    assert (stored > bound).any()
    assert (stored > abs(value)).any()
    for opset in (13, 18):
        value, computed = largest_operand([node("MatMul", "a", "b")], opset=opset)
        assert np.array_equal(
            computed, np.maximum(abs(A).max(1, keepdims=True) * abs(B).max(0, keepdims=True), abs(value))
        )


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm_has_its_bias_and_factors(transposed: int) -> None:
    """2 · a W + 3 · c: the largest of twice the product's bound, three times the bias and the result."""
    bias = np.array([100.0, 0.125], np.float32)
    stored = {"W": W.T.copy() if transposed else W, "c": bias}
    value, largest = largest_operand([node("Gemm", "a", "W", "c", alpha=2.0, beta=3.0, transB=transposed)], stored)
    bound = 2 * abs(A).max(1, keepdims=True) * abs(W).max(0, keepdims=True)
    assert np.array_equal(largest, np.maximum.reduce([bound, 3 * np.broadcast_to(bias, bound.shape), abs(value)]))


def test_a_vector_product_and_a_convolution_use_one_bound() -> None:
    """Where rows and columns are not told apart the largest of all elements is taken, never less than the value."""
    value, largest = largest_operand([node("MatMul", "v", "b")], {"v": np.array([5.0, 1.0], np.float32)})
    assert np.array_equal(largest, np.maximum(abs(value), 5 * 4))
    nodes = [
        helper.make_node("Reshape", ["a", "shape"], ["image"]),
        node("Conv", "image", "kernel", "bias", kernel_shape=[2, 2]),
    ]
    stored = {"shape": np.array([1, 1, 2, 2]), "kernel": W.reshape(1, 1, 2, 2), "bias": np.array([0.5], np.float32)}
    value, largest = largest_operand(nodes, stored)
    assert np.array_equal(largest, np.maximum(abs(value), 3 * 8))


def test_a_reduction_has_its_largest_element() -> None:
    """A sum over an axis may cancel to little; the largest element summed remains. One that grows counts itself."""
    for operator in ("ReduceSum", "ReduceMean"):
        value, largest = largest_operand([node(operator, "a", "axis", keepdims=1)], {"axis": np.array([1])})
        assert np.array_equal(largest, np.maximum(abs(A).max(1, keepdims=True), abs(value)))


@pytest.mark.parametrize("operator", ["Tanh", "Sigmoid"])
def test_a_squashed_sum_forgets_as_much_as_its_slope(operator: str) -> None:
    """Where the function is flat the operands of its sum no longer matter; its own magnitude always does."""
    nodes = [
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Mul", ["sum", "large"], ["steep"]),
        node(operator, "steep"),
    ]
    value, largest = largest_operand(nodes, {"large": np.array(50, np.float32)})
    slope = 1 - value**2 if operator == "Tanh" else value - value**2
    expected = np.maximum(abs(value), slope * 50 * np.maximum(abs(A), abs(B)))
    assert np.allclose(largest, expected)
    assert largest[0, 0] >= 150 / 4
    assert largest[0, 1] == pytest.approx(1)


def test_joined_and_selected_elements_keep_their_operands() -> None:
    """Concat, Split and Where move the operands along with the elements."""
    nodes = [
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Concat", ["sum", "a"], ["joined"], axis=0),
        helper.make_node("Split", ["joined"], ["first", "second"], axis=0, num_outputs=2),
        helper.make_node("Greater", ["a", "b"], ["choice"]),
        node("Where", "choice", "first", "second"),
    ]
    largest = largest_operand(nodes)[1]
    assert np.array_equal(largest, np.where(A > B, np.maximum(abs(A), abs(B)), abs(A)))


def test_what_is_not_followed_has_its_own_magnitude() -> None:
    """Behind an exponential the sum is out of sight."""
    value, largest = largest_operand([helper.make_node("Sub", ["a", "b"], ["sum"]), node("Exp", "sum")])
    assert np.array_equal(largest, value)
