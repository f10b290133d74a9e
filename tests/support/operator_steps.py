"""A step of one node for each ONNX operator: its plainest form, on data that it is defined for.

What an operator does in its other forms is in `tests/compiled/test_operators.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from astroedge.step.graph import StepGraph
from astroedge.step.spec import StepSpec, TensorSpec

TICKS = 4
OPSET = 18  # what export writes
RNG = np.random.default_rng(3)
RANGES = {"positive": (0.1, 3), "unit": (-0.9, 0.9), "above one": (1.1, 4), "whole": (0, 6), "either": (0, 2)}
Array = NDArray[Any]


@dataclass(frozen=True)
class Form:
    """One call of an operator on an input `x` of a shape and dtype, drawn from `data`; arrays are constants."""

    inputs: tuple[Any, ...]
    shape: tuple[int, ...]
    dtype: str
    data: str
    outputs: int
    opset: int
    attributes: dict[str, Any]


def form(
    *inputs: Any,
    shape: tuple[int, ...] = (2, 12),
    dtype: str = "float32",
    data: str = "normal",
    outputs: int = 1,
    opset: int = OPSET,
    **attributes: Any,
) -> Form:
    """A form with "x" as its only input where none is given."""
    return Form(inputs or ("x",), shape, dtype, data, outputs, opset, attributes)


def step_of(operator: str) -> StepGraph:
    """The step graph without state that holds the operator's form alone; its output is `y`."""
    wanted = FORMS[operator]
    names = [f"c{place}" if isinstance(item, np.ndarray) else item for place, item in enumerate(wanted.inputs)]
    stored = [
        numpy_helper.from_array(item, name)
        for item, name in zip(wanted.inputs, names, strict=True)
        if isinstance(item, np.ndarray)
    ]
    outputs = ["y", *(f"y{place}" for place in range(1, wanted.outputs))]
    node = helper.make_node(operator, names, outputs, **wanted.attributes)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(wanted.dtype))
    x = helper.make_tensor_value_info("x", kind, wanted.shape)
    graph = helper.make_graph([node], operator, [x], [onnx.ValueInfoProto(name="y")], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", wanted.opset)], ir_version=10)
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph.output[0].type.tensor_type
    # ONNX infers nothing of some operators that are functions; these give what they take.
    result = tuple(dim.dim_value for dim in inferred.shape.dim) if inferred.elem_type else wanted.shape
    kind = inferred.elem_type or kind
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", kind, result))
    y = TensorSpec("y", result, str(helper.tensor_dtype_to_np_dtype(kind)))
    return StepGraph(model, StepSpec(inputs=(TensorSpec("x", wanted.shape, wanted.dtype),), outputs=(y,), states=()))


def data_of(operator: str, ticks: int = TICKS) -> Array:
    """A few ticks of data that the operator is defined for."""
    wanted, rng = FORMS[operator], np.random.default_rng(4)
    shape = (ticks, *wanted.shape)
    if wanted.data == "normal":
        return rng.normal(size=shape).astype(wanted.dtype)
    drawn = rng.uniform(*RANGES[wanted.data], shape)
    return (drawn if wanted.dtype == "float32" else np.floor(drawn)).astype(wanted.dtype)


def weights(*shape: int) -> Array:
    """Normal constants in float32."""
    return RNG.normal(size=shape).astype(np.float32)


def whole(*numbers: int) -> Array:
    """A constant vector of integers: axes, sizes, indices."""
    return np.array(numbers, np.int64)


WHOLE: dict[str, Any] = {"dtype": "int32", "data": "whole"}
BYTES: dict[str, Any] = {"dtype": "uint8", "data": "whole"}
EITHER: dict[str, Any] = {"dtype": "bool", "data": "either"}
IMAGE: dict[str, Any] = {"shape": (1, 2, 8, 8)}
WINDOW: dict[str, Any] = {**IMAGE, "kernel_shape": [2, 2], "strides": [2, 2]}
BOOLEANS = np.arange(24).reshape(2, 12) % 3 == 0
INTEGERS = np.arange(24, dtype=np.int32).reshape(2, 12) % 5 + 1
HALF, ZERO = np.array(0.5, np.float32), np.array(0, np.uint8)
KERNEL = np.ones((4, 2, 3, 3), np.uint8)

UNARY = (
    "Abs", "Asinh", "Atan", "Ceil", "Celu", "Cos", "Cosh", "Dropout", "Elu", "Erf", "Exp", "Flatten", "Floor",
    "HardSigmoid", "HardSwish", "Hardmax", "Identity", "IsInf", "IsNaN", "LeakyRelu", "LogSoftmax",
    "LpNormalization", "Mish", "Neg", "RandomNormalLike", "RandomUniformLike", "Reciprocal", "Relu", "Round", "Selu",
    "Shape", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Size", "Softmax",
    "Softplus", "Softsign", "Tan", "Tanh", "ThresholdedRelu", "Transpose",
)  # fmt: skip
BINARY = (
    "Add", "Div", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min", "Mul", "PRelu", "Sub",
    "Sum",
)  # fmt: skip
REDUCTIONS = (
    "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
    "ReduceSumSquare",
)  # fmt: skip
FORMS: dict[str, Form] = {
    **dict.fromkeys(UNARY, form()),
    **dict.fromkeys(BINARY, form("x", weights(2, 12))),
    **dict.fromkeys(REDUCTIONS, form("x", whole(1))),
    **dict.fromkeys(("Acos", "Asin", "Atanh"), form(data="unit")),
    **dict.fromkeys(("Bernoulli", "Log", "Sqrt"), form(data="positive")),
    **dict.fromkeys(("And", "Or", "Xor"), form("x", BOOLEANS, **EITHER)),
    **dict.fromkeys(("BitwiseAnd", "BitwiseOr", "BitwiseXor", "Equal", "Mod"), form("x", INTEGERS, **WHOLE)),
    **dict.fromkeys(("AveragePool", "LpPool", "MaxPool"), form(**WINDOW)),
    **dict.fromkeys(("GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool"), form(**IMAGE)),
    **dict.fromkeys(("ArgMax", "ArgMin"), form(axis=1)),
    **dict.fromkeys(("Det", "EyeLike", "Trilu"), form(shape=(4, 4))),
    **dict.fromkeys(("Cast", "CastLike"), form(to=TensorProto.INT32)),
    "Acosh": form(data="above one"),
    "AffineGrid": form("x", whole(1, 2, 3, 3), shape=(1, 2, 3), opset=20),
    "Attention": form("x", weights(1, 2, 5, 4), weights(1, 2, 5, 4), shape=(1, 2, 3, 4), opset=23),
    "BatchNormalization": form("x", weights(12), weights(12), weights(12), np.abs(weights(12)) + 1),
    "BitCast": form(to=TensorProto.INT32, opset=26),
    "BitShift": form("x", np.ones((2, 12), np.uint8), direction="LEFT", **BYTES),
    "BitwiseNot": form(**WHOLE),
    "CastLike": form("x", INTEGERS),
    "CenterCropPad": form("x", whole(2, 8)),
    "Clip": form("x", np.array(-0.5, np.float32), np.array(0.75, np.float32)),
    "Col2Im": form("x", whole(4, 4), whole(2, 2), shape=(1, 8, 9)),
    "Concat": form("x", weights(2, 3), axis=1),
    "Conv": form("x", weights(4, 2, 3, 3), pads=[1, 1, 1, 1], **IMAGE),
    "ConvInteger": form("x", KERNEL, shape=(1, 2, 8, 8), **BYTES),
    "ConvTranspose": form("x", weights(2, 4, 3, 3), **IMAGE),
    "CumProd": form("x", np.array(1), opset=26),
    "CumSum": form("x", np.array(1)),
    "DFT": form(shape=(1, 8, 1)),
    "DeformConv": form("x", weights(4, 2, 3, 3), np.zeros((1, 18, 6, 6), np.float32), opset=19, **IMAGE),
    "DepthToSpace": form(shape=(1, 4, 2, 2), blocksize=2),
    "DequantizeLinear": form("x", HALF, np.array(3, np.int8), dtype="int8", data="whole"),
    "DynamicQuantizeLinear": form(outputs=3),
    "Einsum": form("x", weights(12, 5), equation="ij,jk->ik"),
    "Expand": form("x", whole(3, 2, 12)),
    "Gather": form("x", whole(0, 7, 3), axis=1),
    "GatherElements": form("x", np.array([[0, 3], [5, 1]]), axis=1),
    "GatherND": form("x", np.array([[1, 2], [0, 5]])),
    "Gelu": form(opset=20),
    "Gemm": form("x", weights(12, 5), weights(5)),
    "GridSample": form("x", np.clip(weights(1, 3, 3, 2), -0.9, 0.9), mode="bilinear", **IMAGE),
    "GroupNormalization": form("x", weights(4), weights(4), shape=(1, 4, 3, 3), opset=21, num_groups=2),
    "InstanceNormalization": form("x", weights(2), weights(2), **IMAGE),
    "LRN": form(size=1, **IMAGE),
    "LayerNormalization": form("x", weights(12), weights(12)),
    "MatMul": form("x", weights(12, 5)),
    "MatMulInteger": form("x", np.ones((12, 5), np.uint8), **BYTES),
    "MaxRoiPool": form("x", np.array([[0, 0, 0, 4, 4]], np.float32), pooled_shape=[2, 2], **IMAGE),
    "MaxUnpool": form("x", np.array([[[[0, 3], [9, 15]]]]), **{**WINDOW, "shape": (1, 1, 2, 2)}),
    "MeanVarianceNormalization": form(opset=13, axes=[0, 2, 3], **IMAGE),
    "Multinomial": form(sample_size=3),
    "NegativeLogLikelihoodLoss": form("x", whole(1, 0)),
    "Not": form(**EITHER),
    "OneHot": form("x", np.array(6), whole(0, 1), shape=(4,), dtype="int64", data="whole"),
    "Pad": form("x", whole(0, 2, 0, 1)),
    "Pow": form("x", np.array(2, np.float32)),
    "QLinearConv": form("x", HALF, ZERO, KERNEL, HALF, ZERO, HALF, ZERO, shape=(1, 2, 8, 8), **BYTES),
    "QLinearMatMul": form("x", HALF, ZERO, np.ones((12, 5), np.uint8), HALF, ZERO, HALF, ZERO, **BYTES),
    "QuantizeLinear": form("x", HALF, np.array(3, np.int8)),
    "RMSNormalization": form("x", weights(12), opset=23),
    "ReduceLogSum": form("x", whole(1), data="positive"),
    "Reshape": form("x", whole(4, 6)),
    "Resize": form("x", "", np.array([1, 1, 2, 2], np.float32), **IMAGE),
    "ReverseSequence": form("x", whole(2, 2, 1), shape=(2, 3)),
    "RoiAlign": form("x", np.array([[0, 0, 4, 4]], np.float32), whole(0), output_height=2, output_width=2, **IMAGE),
    "RotaryEmbedding": form("x", weights(1, 3, 2), weights(1, 3, 2), shape=(1, 2, 3, 4), opset=23),
    "STFT": form("x", np.array(2), np.ones(4, np.float32), shape=(1, 8, 1), onesided=1),
    "ScatterElements": form("x", np.array([[1], [4]]), weights(2, 1), axis=1),
    "ScatterND": form("x", np.array([[1]]), weights(1, 12)),
    "Slice": form("x", whole(2), whole(7), whole(1)),
    "SoftmaxCrossEntropyLoss": form("x", whole(1, 0)),
    "SpaceToDepth": form(shape=(1, 1, 4, 4), blocksize=2),
    "Split": form(axis=1, num_outputs=2, outputs=2),
    "Squeeze": form("x", whole(0), shape=(1, 12)),
    "Swish": form(opset=24),
    "TensorScatter": form("x", weights(1, 2, 1, 4), whole(1), shape=(1, 2, 3, 4), opset=24),
    "Tile": form("x", whole(2, 1)),
    "TopK": form("x", whole(3), outputs=2),
    "Unsqueeze": form("x", whole(0)),
    "Where": form(BOOLEANS, "x", weights(2, 12)),
}
