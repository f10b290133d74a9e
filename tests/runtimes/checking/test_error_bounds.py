"""The largest operand of a value agrees with what is worked out by hand, for every operator that is followed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, shape_inference

from astroedge.runtimes.checking.error_bounds import Magnitudes
from astroedge.session import Array
from astroedge.step.operator_table import ROWS

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


SUM = helper.make_node("Sub", ["a", "b"], ["sum"])
OPERANDS = np.maximum(abs(A), abs(B))


@pytest.mark.parametrize(
    ("operator", "slope"),
    [
        ("Exp", np.exp),
        ("Softplus", lambda x: 1 / (1 + np.exp(-x))),
        ("Sin", lambda x: abs(np.cos(x))),
        ("LeakyRelu", lambda x: np.where(x < 0, 0.01, 1)),
        ("Erf", lambda x: 2 / np.sqrt(np.pi) * np.exp(-x * x)),
    ],
)
def test_a_function_enlarges_the_sum_before_it_by_its_slope(operator: str, slope: Callable[[Array], Array]) -> None:
    """|f′(x)| times the largest operand of x = a − b, or its own magnitude where that is more."""
    value, largest = largest_operand([SUM, node(operator, "sum")])
    np.testing.assert_allclose(largest, np.maximum(abs(value), slope(A - B) * OPERANDS), rtol=5e-3)


def test_a_quotient_or_logarithm_near_zero_enlarges_it_without_bound() -> None:
    """Log, Sqrt, Reciprocal and Pow of a small difference of large numbers; what is no number there bounds nothing."""
    nodes = [
        helper.make_node("Add", ["a", "large"], ["raised"]),
        helper.make_node("Sub", ["raised", "large"], ["rest"]),
        helper.make_node("Abs", ["rest"], ["size"]),
    ]
    stored = {"large": np.array(64, np.float32), "two": np.array(2, np.float32)}
    operands = np.maximum(abs(A), 64)
    for operator, inputs, slope in (
        ("Log", ["size"], 1 / abs(A)),
        ("Sqrt", ["size"], 0.5 / np.sqrt(abs(A))),
        ("Reciprocal", ["rest"], 1 / A**2),
        ("Pow", ["rest", "two"], abs(2 * A)),
    ):
        value, largest = largest_operand([*nodes, node(operator, *inputs)], stored)
        np.testing.assert_allclose(largest, np.maximum(abs(value), slope * operands), rtol=2e-2, err_msg=operator)
    assert not np.isfinite(largest_operand([SUM, node("Log", "sum")])[1]).all()


def test_an_einsum_is_bounded_by_what_it_sums_away() -> None:
    """As a matrix product is by its row and column, whatever the letters, with an output named or not."""
    for equation in ("ij,jk->ik", "ij,jk", " ij , jk -> ik "):
        value, largest = largest_operand([node("Einsum", "a", "b", equation=equation)])
        bound = abs(A).max(1, keepdims=True) * abs(B).max(0, keepdims=True)
        assert np.array_equal(largest, np.maximum(bound, abs(value)))
    value, largest = largest_operand([node("Einsum", "a", "b", equation="ij,kj->ki")], opset=13)
    assert np.array_equal(largest, np.maximum((abs(A).max(1)[:, None] * abs(B).max(1)).T, abs(value)))
    value, largest = largest_operand([node("Einsum", "a", "b", equation="...j,...j->...")])
    assert np.array_equal(largest, np.maximum(abs(value), 3 * 4))


def test_a_batch_norm_has_the_terms_that_cancel() -> None:
    """(x − mean) / deviation · scale + bias may be small where each term is large."""
    stored = {name: np.array(numbers, np.float32) for name, numbers in STATISTICS.items()}
    _, largest = largest_operand([SUM, node("BatchNormalization", "sum", *stored, epsilon=0.0)], stored)
    assert np.allclose(largest, (OPERANDS + abs(stored["mean"])) / 2 * 3 + abs(stored["bias"]))


STATISTICS = {"scale": [3, -3], "bias": [-12, 24], "mean": [8, -16], "variance": [4, 4]}


def test_a_window_has_the_largest_or_the_mean_of_its_operands() -> None:
    """Pooling and extremes know of the sums in their window; never less than their own size."""
    nodes = [SUM, helper.make_node("Reshape", ["sum", "shape"], ["image"])]
    shape = {"shape": np.array([1, 1, 2, 2])}
    for operator, expected in (("MaxPool", 4), ("AveragePool", OPERANDS.mean())):
        _, largest = largest_operand([*nodes, node(operator, "image", kernel_shape=[2, 2])], shape)
        assert largest.ravel().tolist() == [max(expected, (A - B).max() if operator == "MaxPool" else 0)]
    for operator in ("GlobalMaxPool", "GlobalAveragePool"):
        assert largest_operand([*nodes, node(operator, "image")], shape)[1].size == 1
    for operator in ("ReduceMax", "ReduceMin"):
        _, largest = largest_operand([SUM, node(operator, "sum", "axis", keepdims=1)], {"axis": np.array([1])})
        assert (largest >= OPERANDS.max(1, keepdims=True)).all()


@pytest.mark.parametrize(
    ("operator", "parameters", "options", "opset"),
    [
        ("Softmax", [], {}, 13),
        ("LogSoftmax", [], {}, 18),
        ("LayerNormalization", ["ones"], {"axis": 0}, 18),
        ("CumSum", ["axis"], {}, 18),
        ("ReduceSum", ["axes"], {}, 13),
        ("ReduceL2", [], {"axes": [1]}, 13),
    ],
)
def test_an_ordered_sum_moves_with_its_operands(
    operator: str, parameters: list[str], options: dict[str, object], opset: int
) -> None:
    """What is raised by a thousand and lowered again is still off by that much behind sums over an axis."""
    nodes = [
        helper.make_node("Add", ["a", "large"], ["raised"]),
        helper.make_node("Sub", ["raised", "large"], ["lowered"]),
        node(operator, "lowered", *parameters, **options),
    ]
    stored = {"large": np.array(1000, np.float32), "ones": np.ones((2, 2), np.float32)}
    stored |= {"axis": np.array(1), "axes": np.array([1])}
    value, largest = largest_operand(nodes, {name: stored[name] for name in ("large", *parameters)}, opset)
    assert (largest >= abs(value)).all()
    assert 1 < largest.max() < 1e5


def test_what_is_infinite_is_not_moved() -> None:
    """A mask of −∞ beside numbers leaves the bounds of the numbers finite."""
    nodes = [
        helper.make_node("Add", ["a", "mask"], ["masked"]),
        node("Softmax", "masked"),
    ]
    largest = largest_operand(nodes, {"mask": np.array([[0, 0], [0, -np.inf]], np.float32)})[1]
    assert np.isfinite(largest).all()


def test_a_jump_starts_afresh() -> None:
    """Floor makes whole numbers of a sum: they have their own magnitude, however large the operands were."""
    for operator in ("Floor", "Sign", "Round"):
        value, largest = largest_operand([SUM, node(operator, "sum")])
        assert np.array_equal(largest, abs(value))


FLOAT = "tensor(float)"


def test_every_operator_with_a_float_result_has_a_bound() -> None:
    """Of those that can be compiled; "jump" and "known" say why a value's own size is all there is to say."""
    for row in ROWS:
        if row.refused or not row.imported:
            continue
        schema = onnx.defs.get_schema(row.name)
        allowed = {item.type_param_str: item.allowed_type_strs for item in schema.type_constraints}
        results = [allowed.get(item.type_str, [item.type_str]) for item in schema.outputs]
        assert bool(row.bound) == any(FLOAT in kinds for kinds in results), row.name


def test_an_einsum_may_sum_everything() -> None:
    """An empty result after the arrow is a number; without an arrow it would be the letters that stand once."""
    _, largest = largest_operand([node("Einsum", "a", "b", equation="ij,ij->")])
    assert largest == max(abs((A * B).sum()), 3 * 4)
