"""Quantised operators and networks have ONNX Runtime's integers, through the whole compiler."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser
from onnxruntime import quantization

from astroedge.errors import UnsupportedOpError
from astroedge.exporters.export_onnx import export_onnx
from astroedge.runtimes import load
from astroedge.runtimes.checking.reference import ReferenceSession
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StepSpec, TensorSpec
from tests.support.builds import build

RNG = np.random.default_rng(0)
TICKS = 8
OPERATORS = """(float[3,65] x, float[1,4,8,8] image, float16[3,65] half) =>
    (uint8[3,65] to_bytes, float[3,65] from_bytes, int32[3,33] with_zeros, int32[3,33] plain, int32[3,3] computed,
     uint8[3,33] product, float[3,65] by_column, float[3,65] blocked, uint8[1,6,8,8] image_bytes,
     int32[1,8,4,4] image_sums, uint8[1,6,8,8] deep, uint8[3,65] dynamic, float scale, uint8 zero, int8[3,65] halves,
     float[3,33] stored) {
    to_bytes = QuantizeLinear(x, xs, xz)
    from_bytes = DequantizeLinear(to_bytes, xs, xz)
    with_zeros = MatMulInteger(to_bytes, unsigned, xz, column_zeros)
    plain = MatMulInteger(to_bytes, signed)
    dynamic, scale, zero = DynamicQuantizeLinear(x)
    turned = Transpose<perm = [1, 0]>(dynamic)
    computed = MatMulInteger(dynamic, turned, zero, zero)
    product = QLinearMatMul(to_bytes, xs, xz, unsigned, column_scales, column_zeros, ys, yz)
    columns = QuantizeLinear<axis = -1>(x, row_scales, row_zeros)
    by_column = DequantizeLinear<axis = -1>(columns, row_scales, row_zeros)
    blocks = QuantizeLinear<axis = 1, block_size = 13, output_dtype = 3>(x, block_scales)
    blocked = DequantizeLinear<axis = 1, block_size = 13>(blocks, block_scales)
    bytes = QuantizeLinear(image, xs, xz)
    image_bytes = QLinearConv<pads = [1, 1, 1, 1]>(bytes, xs, xz, kernel, kernel_scales, kz, ys, yz, bias)
    image_sums = ConvInteger<pads = [1, 1, 1, 1], strides = [2, 2], group = 2>(bytes, unsigned_kernel, xz, ukz)
    tiled = Tile(bytes, many)
    deep = QLinearConv<pads = [1, 1, 1, 1]>(tiled, xs, xz, large_kernel, kernel_scales, kz, large_scale, yz, large_bias)
    halves = QuantizeLinear(half, half_scale, row_zero)
    weights = DequantizeLinear<axis = 1>(unsigned, column_scales, column_zeros)
    stored = MatMul(x, weights)
}"""
CONSTANTS = {
    "xs": np.float32(0.02),
    "xz": np.uint8(117),
    "ys": np.float32(0.031),
    "yz": np.uint8(9),
    "unsigned": RNG.integers(0, 256, (65, 33)).astype(np.uint8),
    "signed": RNG.integers(-128, 128, (65, 33)).astype(np.int8),
    "column_zeros": RNG.integers(0, 255, 33).astype(np.uint8),
    "column_scales": RNG.uniform(0.001, 0.01, 33).astype(np.float32),
    "row_zeros": RNG.integers(-127, 128, 65).astype(np.int8),
    "row_zero": np.int8(-5),
    "row_scales": RNG.uniform(0.01, 0.1, 65).astype(np.float32),
    "block_scales": RNG.uniform(0.01, 0.1, (3, 5)).astype(np.float32),
    "kernel": RNG.integers(-127, 128, (6, 4, 3, 3)).astype(np.int8),
    "kernel_scales": RNG.uniform(0.001, 0.01, 6).astype(np.float32),
    "kz": np.zeros(6, np.int8),
    "bias": RNG.integers(-9999, 9999, 6).astype(np.int32),
    "unsigned_kernel": RNG.integers(0, 256, (8, 2, 3, 3)).astype(np.uint8),
    "ukz": np.uint8(128),
    "many": np.array([1, 40, 1, 1]),
    "large_kernel": np.full((6, 160, 3, 3), 127, np.int8),
    "large_scale": np.float32(9),
    "large_bias": np.full(6, 2**30 + 77, np.int32),
    "half_scale": np.float16(0.03),
}


def parsed(text: str, **constants: object) -> onnx.ModelProto:
    """A graph in ONNX's own text, with its constants."""
    model = parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]> net {text}')
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(item), name) for name, item in constants.items())
    return model


def test_quantised_operators_have_the_integers_of_onnx_runtime() -> None:
    """Every operator in its forms: zero points, channels, blocks, halves, sums beyond 2²⁴, silence and overflow."""
    model = parsed(OPERATORS, **CONSTANTS)
    shapes = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in model.graph.output
    }
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.output}
    spec = StepSpec(
        inputs=(
            TensorSpec("x", (3, 65), "float32"),
            TensorSpec("image", (1, 4, 8, 8), "float32"),
            TensorSpec("half", (3, 65), "float16"),
        ),
        outputs=tuple(
            TensorSpec(name, shape, onnx.helper.tensor_dtype_to_np_dtype(kinds[name]).name)
            for name, shape in shapes.items()
        ),
        states=(),
    )
    graph = StepGraph(model, spec)
    data = {item.name: 2 * RNG.standard_normal((TICKS, *item.shape)).astype(item.dtype) for item in spec.inputs}
    data["x"][1] = 0
    data["x"][2] = np.round(data["x"][2] * 50) * np.float32(0.01)
    data["image"][3] *= 1e6
    with load(build(graph)) as session:
        ours, theirs = session.run(**data), ReferenceSession(graph).run(**data)
        names = {item.name: item.precision for item in session.manifest.matrices}
    for name, array in theirs.items():
        if name == "stored":
            np.testing.assert_allclose(ours[name], array, rtol=1e-5, atol=1e-5)
        else:
            np.testing.assert_array_equal(ours[name], array, err_msg=name)
    assert names["signed"] == names["unsigned"] == "int8"


STREAM = """(float[1,1,20] x, float[1,24,4] cache) => (float[1,1,16] y, float[1,24,4] next) {
    a0 = MatMul(x, w1)
    a1 = Add(a0, b1)
    a = Relu(a1)
    t = Transpose<perm = [0, 2, 1]>(a)
    c = Concat<axis = 2>(cache, t)
    c1 = Conv<group = 24>(c, memory)
    next = Slice(c, one, five, two)
    m = Add(c1, t)
    p = LeakyRelu<alpha = 0.1>(m)
    u = Transpose<perm = [0, 2, 1]>(p)
    g0 = MatMul(u, wg)
    v0 = MatMul(u, w2)
    v = Mul(v0, g0)
    y0 = MatMul(v, w3)
    y = Add(y0, b3)
}"""


class _Calibration(quantization.CalibrationDataReader):  # type: ignore[misc]
    def __init__(self) -> None:
        self.ticks = iter(range(16))

    def get_next(self) -> dict[str, np.ndarray] | None:
        shapes = {"x": (1, 1, 20), "cache": (1, 24, 4)}
        if next(self.ticks, None) is None:
            return None
        return {name: RNG.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def quantised(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StepGraph]:
    """A streaming network with a memory of four ticks, as ONNX Runtime quantises it in each of its ways."""
    folder = tmp_path_factory.mktemp("quantised")

    def draw(*shape: int) -> np.ndarray:
        return (RNG.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)

    places = {"one": np.array([1]), "five": np.array([5]), "two": np.array([2])}
    weights = {"w1": draw(20, 24), "b1": draw(24), "memory": draw(24, 1, 5), "wg": draw(24, 24), "w2": draw(24, 24)}
    onnx.save(parsed(STREAM, **places, **weights, w3=draw(24, 16), b3=draw(16)), folder / "plain.onnx")
    files = {name: folder / f"{name}.onnx" for name in ("dynamic", "operators", "pairs")}
    quantization.quantize_dynamic(folder / "plain.onnx", files["dynamic"])
    for name, form in (("operators", quantization.QuantFormat.QOperator), ("pairs", quantization.QuantFormat.QDQ)):
        quantization.quantize_static(
            folder / "plain.onnx", files[name], _Calibration(), quant_format=form, per_channel=name == "pairs"
        )
    return {name: export_onnx(Path(file), {"cache": "next"}) for name, file in files.items()}


@pytest.mark.parametrize("form", ["dynamic", "operators"])
def test_a_quantised_network_has_the_bits_of_onnx_runtime(form: str, quantised: dict[str, StepGraph]) -> None:
    """Free-running, with its memory: all that is rounded is defined, so nothing differs; weights take a byte each."""
    graph = quantised[form]
    assert graph.parity is not None
    assert graph.parity.worst == 0
    data = {"x": RNG.standard_normal((50, 1, 1, 20)).astype(np.float32)}
    with load(build(graph)) as session:
        np.testing.assert_array_equal(session.run(**data)["y"], ReferenceSession(graph).run(**data)["y"])
        stored = [item.precision for item in session.manifest.matrices]
    assert stored == ["int8"] * 5


def test_dequantised_weights_keep_their_integers(quantised: dict[str, StepGraph]) -> None:
    """In an int8 bundle the weights behind DequantizeLinear are those that were stored; the graph stays as it is."""
    graph = quantised["pairs"]
    stored = {item.name for item in graph.model.graph.initializer if item.data_type == onnx.TensorProto.INT8}
    bundle = build(graph, precision="int8")
    assert len([item for item in bundle.manifest.matrices if item.precision == "int8"]) == 5
    with load(bundle) as session, load(build(graph)) as plain:
        x = RNG.standard_normal((1, 1, 20)).astype(np.float32)
        np.testing.assert_allclose(session.step(x=x)["y"], plain.step(x=x)["y"], atol=0.1)
    assert len(stored) >= 5


def test_numbers_of_four_bits_are_refused_by_name() -> None:
    """A step computes with bytes at least; as constants they may be narrower."""
    model = parsed(
        """(float[2,6] x, float[1] h) => (float[2,6] y, float[1] h2) {
        q = QuantizeLinear<output_dtype = 22>(x, s) y = DequantizeLinear(q, s) h2 = Add(h, h) }""",
        s=np.float32(0.1),
    )
    with pytest.raises(UnsupportedOpError, match="QuantizeLinear, which quantises to int4"):
        build(export_onnx(model, {"h": "h2"}))


def test_what_is_no_number_becomes_the_least_integer() -> None:
    """An infinity divided by an infinite scale is NaN, which ONNX Runtime quantises to 0."""
    spec = StepSpec((TensorSpec("x", (1, 20), "float32"),), (TensorSpec("y", (1, 20), "uint8"),), ())
    graph = StepGraph(parsed("(float[1,20] x) => (uint8[1,20] y) { y, s, z = DynamicQuantizeLinear(x) }"), spec)
    with load(build(graph)) as session:
        assert not session.step(x=np.full((1, 20), -np.inf, np.float32))["y"].any()
