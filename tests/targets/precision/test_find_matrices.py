"""Weights are found by what reads them, and which way round."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from astroedge.targets.precision.find_matrices import FoundMatrix, find_matrices
from tests.support import graphs

Nodes = list[onnx.NodeProto]
node = helper.make_node


def found(nodes: Nodes, shape: tuple[int, ...], x: tuple[int, ...] = (1, 6)) -> FoundMatrix:
    """The one weight `W` of a graph whose output is `y`; `x` and the index `i` are inputs."""
    inputs = [
        helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x),
        helper.make_tensor_value_info("i", onnx.TensorProto.INT64, [1]),
    ]
    output = helper.make_tensor_value_info("shape", onnx.TensorProto.INT64, [None])
    stored = [
        numpy_helper.from_array(np.ones(shape, np.float32), "W"),
        numpy_helper.from_array(np.ones(4, np.float32), "bias"),
    ]
    graph = helper.make_graph([*nodes, node("Shape", ["y"], ["shape"])], "test", inputs, [output], stored)
    (matrix,) = find_matrices(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10))
    return matrix


@pytest.mark.parametrize(
    ("nodes", "shape", "x", "transposed"),
    [
        ([node("MatMul", ["x", "W"], ["y"])], (6, 4), (1, 6), False),
        ([node("Gemm", ["x", "W", "bias"], ["y"])], (6, 4), (1, 6), False),
        ([node("Gemm", ["x", "W"], ["y"], transB=1, alpha=0.5)], (4, 6), (1, 6), True),
        ([node("MatMul", ["W", "x"], ["y"])], (4, 6), (6,), True),
        ([node("Transpose", ["W"], ["t"], perm=[1, 0]), node("MatMul", ["x", "t"], ["y"])], (4, 6), (1, 6), True),
        ([node("Identity", ["W"], ["t"]), node("Gemm", ["x", "t"], ["y"], transB=1)], (4, 6), (1, 6), True),
        ([node("Transpose", ["W"], ["t"]), node("Gemm", ["x", "t"], ["y"], transB=1)], (6, 4), (1, 6), False),
    ],
)
def test_a_product_says_which_way_round_its_weight_lies(
    nodes: Nodes, shape: tuple[int, ...], x: tuple[int, ...], transposed: bool
) -> None:
    """Six inputs and four outputs, however the tensor is stored and through whatever it is read."""
    matrix = found(nodes, shape, x)
    assert (matrix.rows, matrix.columns, matrix.transposed, matrix.problem) == (6, 4, transposed, None)


def test_an_embedding_table_is_the_transpose_of_a_matrix() -> None:
    """Tokens are columns, so the table can serve as the output layer at the same time."""
    lookup = node("Gather", ["W", "i"], ["e"])
    matrix = found([lookup, node("Gemm", ["e", "W"], ["y"], transB=1)], (9, 6))
    assert (matrix.rows, matrix.columns, matrix.transposed, matrix.problem) == (6, 9, True, None)


@pytest.mark.parametrize(
    ("nodes", "shape", "problem"),
    [
        ([node("Gather", ["W", "i"], ["e"]), node("MatMul", ["e", "W"], ["y"])], (6, 6), "and as its transpose"),
        ([node("MatMul", ["W", "x"], ["y"])], (4, 1), "a matrix that the step computes"),
        ([node("Gemm", ["W", "x"], ["y"])], (4, 1), "a matrix that the step computes"),
        ([node("MatMul", ["x", "W"], ["y"])], (2, 6, 4), "more than two axes"),
        ([node("Gather", ["W", "i"], ["y"], axis=1)], (6, 4), "columns are looked up"),
        ([node("MatMul", ["x", "W"], ["p"]), node("ReduceSum", ["W"], ["s"]), node("Mul", ["p", "s"], ["y"])],
         (6, 4), "ReduceSum reads it too"),
        ([node("MatMul", ["x", "W"], ["p"]), node("Gemm", ["x", "W", "p"], ["y"])], (6, 4), None),
    ],
)  # fmt: skip
def test_what_must_keep_its_bytes_says_why(nodes: Nodes, shape: tuple[int, ...], problem: str | None) -> None:
    """A reader that needs the float32 numbers keeps a weight as it is."""
    matrix = found(nodes, shape)
    assert (matrix.problem is None) if problem is None else (problem in (matrix.problem or ""))


def test_convolution_kernels_are_found_by_output_channel() -> None:
    """A kernel [channels out, in, …] has its outputs as columns."""
    matrix = found([node("Conv", ["x", "W"], ["y"])], (5, 3, 3, 3), (1, 3, 8, 8))
    assert (matrix.rows, matrix.columns, matrix.transposed, matrix.problem) == (27, 5, True, None)


def test_kernels_without_a_stored_form_say_so() -> None:
    """Convolutions of three axes and transposed ones keep their float32 numbers."""
    volume = found([node("Conv", ["x", "W"], ["y"])], (5, 3, 3, 3, 3), (1, 3, 8, 8, 8))
    assert "three axes" in (volume.problem or "")
    transposed = found([node("ConvTranspose", ["x", "W"], ["y"])], (3, 5, 3, 3), (1, 3, 8, 8))
    assert "transposed" in (transposed.problem or "")


def test_a_constant_node_holds_a_weight_like_an_initialiser() -> None:
    """Its weight has the name of the value it makes."""
    constant = node("Constant", [], ["V"], value=numpy_helper.from_array(np.ones((6, 4), np.float32)))
    inputs = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 6])]
    output = [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 4])]
    graph = helper.make_graph([constant, node("MatMul", ["x", "V"], ["y"])], "test", inputs, output)
    (matrix,) = find_matrices(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10))
    assert (matrix.name, matrix.rows, matrix.columns, matrix.problem) == ("V", 6, 4, None)


def test_biases_decays_and_initial_states_are_no_matrices() -> None:
    """Of a whole network only what is multiplied or looked up is found."""
    assert [matrix.name for matrix in find_matrices(graphs.token_net().model)] == ["embedding", "W_out"]
    assert find_matrices(graphs.identity_next().model) == []
