"""ONNX Runtime's own quantised operators become ONNX's, with the integers that ONNX Runtime gives."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper, parser

from astroedge.errors import UnsupportedOpError
from astroedge.exporters.from_onnx.expand_quantised import WRITERS, expand_quantised

RNG = np.random.default_rng(2)
OPERATORS = """(KIND[4,24] a, KIND[4,24] b, KIND[1,2,6,6] image, float[4,24] x) =>
    (KIND[4,24] sum, KIND[4,24] product, KIND[4,24] sigmoid, KIND[4,24] leaky, KIND[8,24] joined,
     KIND[1,2,3,3] pooled, KIND[4,24] shares, KIND[4,10] layer, float[4,10] scores, float[4,10] floats,
     float[4,10] dynamic) {
    sum = com.microsoft.QLinearAdd(a, as, az, b, bs, bz, cs, cz)
    product = com.microsoft.QLinearMul(a, as, az, b, bs, bz, cs, cz)
    sigmoid = com.microsoft.QLinearSigmoid(a, as, az, ss, cz)
    leaky = com.microsoft.QLinearLeakyRelu<alpha = 0.2>(a, as, az, cs, cz)
    joined = com.microsoft.QLinearConcat<axis = 0>(as, az, a, as, az, b, bs, bz)
    pooled = com.microsoft.QLinearAveragePool<kernel_shape = [2, 2], strides = [2, 2]>(image, as, az, cs, cz)
    shares = com.microsoft.QLinearSoftmax<axis = -1, opset = 18>(a, as, az, ss, cz)
    layer = com.microsoft.QGemm<alpha = 0.5>(a, as, az, w, ws, wz, bias, cs, cz)
    scores = com.microsoft.QGemm<transB = 1>(a, as, az, turned, ws, wz, bias)
    floats = com.microsoft.MatMulIntegerToFloat(a, w, as, ws, az, wz, offsets)
    dynamic = com.microsoft.DynamicQuantizeMatMul(x, w, ws)
}"""
COMPUTED = """(uint8[4] a, float s, float[1] h) => (uint8[4] y, float[1] h2) {
    y = com.microsoft.QLinearSigmoid(a, s, z, c, z)
    h2 = Add(h, h)
}"""


def model_of(text: str, **constants: object) -> onnx.ModelProto:
    """A graph in ONNX's own text, with its constants."""
    model = parser.parse_model(f'<ir_version: 10, opset_import: ["" : 18, "com.microsoft" : 1]> net {text}')
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(item), name) for name, item in constants.items())
    return model


def run(model: onnx.ModelProto, data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every output, by name, without rewriting the graph."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return dict(zip([item.name for item in session.get_outputs()], session.run(None, data), strict=True))


@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_expanded_operators_have_the_integers_of_onnx_runtime(kind: str) -> None:
    """All operators that are written in others, on all the numbers of their type; sums next to a half may differ."""
    shift = 0 if kind == "uint8" else -128
    dtype = np.dtype(kind).type
    zeros = {name: dtype(value + shift) for name, value in (("az", 120), ("bz", 140), ("cz", 100))}
    weights = RNG.integers(shift, shift + 256, (24, 10)).astype(dtype)
    scales = {name: np.float32(value) for name, value in (("as", 0.02), ("bs", 0.05), ("cs", 0.04), ("ss", 1 / 256))}
    model = model_of(
        OPERATORS.replace("KIND", kind),
        **zeros,
        **scales,
        w=weights,
        turned=np.ascontiguousarray(weights.T),
        ws=np.float32(0.003),
        wz=dtype(130 + shift),
        bias=RNG.integers(-999, 999, 10).astype(np.int32),
        offsets=RNG.standard_normal(10).astype(np.float32),
    )
    data = {name: RNG.integers(shift, shift + 256, (4, 24)).astype(dtype) for name in "ab"}
    data["image"] = RNG.integers(shift, shift + 256, (1, 2, 6, 6)).astype(dtype)
    data["x"] = RNG.standard_normal((4, 24)).astype(np.float32)
    wanted = run(model, data)
    expand_quantised(model)
    assert {node.domain for node in model.graph.node} == {""}
    for name, array in run(model, data).items():
        if name == "shares":
            assert np.abs(array.astype(int) - wanted[name]).max() <= 1
        else:
            np.testing.assert_allclose(array, wanted[name], rtol=2e-7 if array.dtype == np.float32 else 0, err_msg=name)


def test_every_writer_is_tried() -> None:
    """The test above has a call of each."""
    assert all(f"com.microsoft.{name}" in OPERATORS for name in WRITERS)


def test_a_computed_scale_is_refused_by_name() -> None:
    """A table of results cannot be made before the scale is known."""
    model = model_of(COMPUTED, z=np.uint8(3), c=np.float32(0.01))
    with pytest.raises(UnsupportedOpError, match=r"QLinearSigmoid that makes 'y' .* computed at each tick"):
        expand_quantised(model)
