"""Each operator a step is likely to hold gives what ONNX Runtime gives, to rounding, through the whole compiler."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from astroedge.runtimes import load
from astroedge.runtimes.checking.reference import ReferenceSession
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from astroedge.targets import compile_step, link_bundle
from astroedge.targets.boards.target import resolve_target
from tests.support import graphs

TICKS = 6
Shape = tuple[int, ...]


def _step(nodes: list[onnx.NodeProto], shape: Shape, result: Shape, constants: Mapping[str, object]) -> StepGraph:
    """A step that applies `nodes` to `mixed`, input plus half the state, and gives `y`; the state is the input."""
    spec = StepSpec(
        inputs=(TensorSpec("x", shape, "float32"),),
        outputs=(TensorSpec("y", result, "float32"),),
        states=(StateSpec("last", shape, "float32"),),
    )
    first = [
        helper.make_node("Mul", ["state.last", "half"], ["scaled"]),
        helper.make_node("Add", ["x", "scaled"], ["mixed"]),
        helper.make_node("Identity", ["x"], ["next.last"]),
    ]
    return graphs.build("operator", spec, [*first, *nodes], {"half": np.float32(0.5), **constants})  # type: ignore[dict-item]


def _node(kind: str, inputs: list[str], output: str = "y", **attributes: object) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [output], **attributes)


RNG = np.random.default_rng(1)
W = RNG.normal(size=(12, 20)).astype(np.float32)
KERNEL_1D = RNG.normal(size=(5, 3, 3)).astype(np.float32)
KERNEL_2D = RNG.normal(size=(4, 2, 3, 3)).astype(np.float32)
UNARY = [
    "Exp", "Tanh", "Sigmoid", "Relu", "Neg", "Abs", "Softplus", "Floor", "Ceil", "Round", "Sign", "Erf", "Softsign",
    "Elu", "Selu", "LeakyRelu", "HardSigmoid", "Reciprocal",
]  # fmt: skip
CASES: dict[str, StepGraph] = {
    **{name.lower(): _step([_node(name, ["mixed"])], (2, 12), (2, 12), {}) for name in UNARY},
    "sqrt": _step([_node("Abs", ["mixed"], "a"), _node("Sqrt", ["a"])], (2, 12), (2, 12), {}),
    "log": _step([_node("Exp", ["mixed"], "a"), _node("Log", ["a"])], (2, 12), (2, 12), {}),
    "power": _step([_node("Pow", ["mixed", "two"])], (2, 12), (2, 12), {"two": np.float32(2)}),
    "divide": _step([_node("Div", ["mixed", "c"])], (2, 12), (2, 12), {"c": W[:2, :12]}),
    "clip": _step([_node("Clip", ["mixed", "low", "high"])], (2, 12), (2, 12),
                  {"low": np.float32(-0.5), "high": np.float32(0.75)}),
    "maximum": _step([_node("Max", ["mixed", "x"])], (2, 12), (2, 12), {}),
    "where": _step([_node("Less", ["mixed", "x"], "c"), _node("Where", ["c", "mixed", "x"])], (2, 12), (2, 12), {}),
    "matmul": _step([_node("MatMul", ["mixed", "W"])], (3, 12), (3, 20), {"W": W}),
    "gemm": _step([_node("Gemm", ["mixed", "W", "b"], transB=1, alpha=0.5)], (1, 20), (1, 12), {"W": W, "b": W[:, 0]}),
    "gemm over 256 inputs": _step([_node("MatMul", ["mixed", "W"])], (2, 600), (2, 7),
                                  {"W": RNG.normal(size=(600, 7)).astype(np.float32)}),
    "matrix times vector": _step([_node("MatMul", ["W", "mixed"])], (20,), (12,), {"W": W}),
    "weights times columns": _step([_node("MatMul", ["W", "mixed"])], (20, 3), (12, 3), {"W": W}),
    "weights times many columns": _step([_node("MatMul", ["V", "mixed"])], (2, 12, 12), (2, 12, 12),
                                        {"V": W[:, :12]}),
    "computed product": _step([_node("Transpose", ["mixed"], "t", perm=[0, 2, 1]), _node("MatMul", ["x", "t"])],
                              (3, 4, 6), (3, 4, 4), {}),
    "broadcast product": _step([_node("MatMul", ["mixed", "M"])], (3, 4, 6), (3, 4, 5),
                               {"M": RNG.normal(size=(1, 6, 5)).astype(np.float32)}),
    "softmax": _step([_node("Softmax", ["mixed"], axis=-1)], (3, 19), (3, 19), {}),
    "sum": _step([_node("ReduceSum", ["mixed", "axes"], keepdims=1)], (3, 4, 5), (3, 1, 5), {"axes": np.array([1])}),
    "mean": _step([_node("ReduceMean", ["mixed", "axes"], keepdims=0)], (3, 37), (3,), {"axes": np.array([-1])}),
    "max": _step([_node("ReduceMax", ["mixed", "axes"], keepdims=0)], (3, 37), (37,), {"axes": np.array([0])}),
    "layer norm": _step([_node("LayerNormalization", ["mixed", "g", "b"], axis=-1)], (2, 20), (2, 20),
                        {"g": W[0], "b": W[1]}),
    "batch norm": _step([_node("BatchNormalization", ["mixed", "g", "b", "m", "v"])], (2, 12), (2, 12),
                        {"g": W[:, 0], "b": W[:, 1], "m": W[:, 2], "v": np.abs(W[:, 3]) + 1}),
    "convolution 1-D": _step([_node("Conv", ["mixed", "K"], pads=[1, 1])], (1, 3, 9), (1, 5, 9), {"K": KERNEL_1D}),
    "convolution 2-D": _step([_node("Conv", ["mixed", "K"], pads=[1, 1, 1, 1], strides=[2, 2])],
                             (1, 2, 8, 8), (1, 4, 4, 4), {"K": KERNEL_2D}),
    "max pool": _step([_node("MaxPool", ["mixed"], kernel_shape=[2, 2], strides=[2, 2])],
                      (1, 2, 8, 8), (1, 2, 4, 4), {}),
    "average pool": _step([_node("AveragePool", ["mixed"], kernel_shape=[2, 2], strides=[2, 2])],
                          (1, 2, 8, 8), (1, 2, 4, 4), {}),
    "global pool": _step([_node("GlobalAveragePool", ["mixed"])], (1, 2, 8, 8), (1, 2, 1, 1), {}),
    "reshape": _step([_node("Reshape", ["mixed", "s"])], (3, 8), (6, 4), {"s": np.array([6, 4])}),
    "reshape of a product": _step([_node("MatMul", ["mixed", "W"], "p"), _node("Reshape", ["p", "s"])], (3, 12), (60,),
                                  {"W": W, "s": np.array([60])}),
    "reshape of a state": _step([_node("Reshape", ["state.last", "s"])], (3, 8), (24,), {"s": np.array([24])}),
    "transpose": _step([_node("Transpose", ["mixed"], perm=[1, 0])], (3, 8), (8, 3), {}),
    "concat": _step([_node("Concat", ["mixed", "x"], axis=1)], (3, 8), (3, 16), {}),
    "slice": _step([_node("Slice", ["mixed", "from", "to", "axes"])], (3, 8), (3, 5),
                   {"from": np.array([2]), "to": np.array([7]), "axes": np.array([1])}),
    "pad": _step([_node("Pad", ["mixed", "p"])], (3, 8), (3, 11), {"p": np.array([0, 2, 0, 1])}),
    "split and swap": _step([helper.make_node("Split", ["mixed"], ["l", "r"], axis=1, num_outputs=2),
                             _node("Concat", ["r", "l"], axis=1)], (3, 8), (3, 8), {}),
    "split whose pieces go apart": _step([helper.make_node("Split", ["mixed", "sizes"], ["l", "r"], axis=-1),
                                          _node("MatMul", ["l", "W"], "p"), _node("Mul", ["p", "r"])],
                                         (3, 32), (3, 20), {"W": W, "sizes": np.array([12, 20])}),
    "gather": _step([_node("Gather", ["mixed", "i"], axis=1)], (3, 8), (3, 4), {"i": np.array([0, 7, 3, 3])}),
    "row of the largest": _step([_node("ArgMax", ["mixed"], "i", axis=1, keepdims=0), _node("Gather", ["T", "i"])],
                                (3, 12), (3, 20), {"T": W}),
    "write of known rows": _step([_node("ScatterND", ["mixed", "i", "x"])], (3, 8), (3, 8),
                                 {"i": np.array([[-1], [0], [1]])}),
    "write of some rows": _step([_node("ScatterND", ["mixed", "i", "U"])], (5, 8), (5, 8),
                                {"i": np.array([[4], [-4]]), "U": W[:2, :8]}),
    "write of a slice": _step([_node("ScatterND", ["mixed", "i", "U"])], (5, 8), (5, 8),
                              {"i": np.array([[-5]]), "U": W[:1, :8]}),
    "write at the largest": _step([_node("ArgMax", ["mixed"], "i", axis=0, keepdims=1),
                                   _node("ScatterND", ["mixed", "i", "U"])], (12, 1), (12, 1), {"U": W[:1, :1]}),
    "write of single elements": _step([_node("ArgMax", ["mixed"], "i", axis=1, keepdims=1),
                                       _node("ScatterElements", ["mixed", "i", "U"], axis=1)],
                                      (5, 8), (5, 8), {"U": W[:5, :1]}),
    "cast": _step([_node("Cast", ["mixed"], "i", to=TensorProto.INT32), _node("Cast", ["i"], to=TensorProto.FLOAT)],
                  (3, 8), (3, 8), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_operator_gives_what_onnx_runtime_gives(name: str) -> None:
    """Outputs over a few ticks agree to 1e-5 of the largest value."""
    graph = CASES[name]
    target = resolve_target("native")
    bundle = link_bundle(compile_step(graph, target, math="exact", kernels="auto", probes=False), target)
    x = np.random.default_rng(2).normal(size=(TICKS, *graph.spec.inputs[0].shape)).astype(np.float32)
    reference = ReferenceSession(graph)
    expected = np.stack([reference.step(x=item)["y"] for item in x])
    with load(bundle) as session:
        np.testing.assert_allclose(session.run(x=x)["y"], expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))
