"""ONNX Runtime in 8 bits: the faster of two ways to quantise matrices, static QDQ for convolutions."""

from __future__ import annotations

import tempfile
from itertools import cycle
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import onnx

from astroedge.step.onnx_file import whole
from benchmarks.peers.closed_loop import closed_loop_feeds
from benchmarks.peers.onnx_runtime import bound_tick
from benchmarks.peers.peer import Peer
from benchmarks.peers.work import Array, Tick, Work

# Inputs that share a scale. Of 16 to 256, 128 was the fastest on 25 million weights, and its error is that of 32.
BLOCK_SIZE = 128
# What a product is computed in: 4 means that activations are quantised to 8 bits as well, a block at a time.
INT8_ACTIVATIONS = 4
TRIAL_ROUNDS, TRIAL_TICKS = 5, 20

PEER = Peer(
    name="onnxruntime int8",
    precision="int8",
    recipe="Constant matrices in two ways, of which a short trial takes the faster: MatMulNBits with 8 bits, "
    "symmetric, blocks of 128 inputs, accuracy level 4 (activations int8 as they come), or quantize_dynamic with QInt8 "
    "weights, one scale a matrix. Convolutions: static QDQ, weights int8 by output channel, activations uint8, ranges "
    "from 100 ticks of example inputs. Buffers as in float32. Static QDQ of matrices and other block sizes take "
    "longer; scales by output channel make quantize_dynamic slower than MatMulNBits.",
    module=__name__,
    packages=("onnxruntime",),
)


def start(work: Work) -> Tick:
    """The step graph with quantised matrices and convolutions; layer norms, states and the rest stay in float32."""
    model = onnx.ModelProto()
    model.CopyFrom(whole(work.graph.model))
    del model.graph.value_info[:]  # the shapes it holds are of values that the quantiser replaces
    if any(node.op_type == "Conv" for node in model.graph.node):
        model = _with_static_convolutions(model, work)
    return bound_tick(work, _faster(work, [with_block_matrices(model), with_dynamic_matrices(model)]))


def with_block_matrices(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose constant matrices are read by MatMulNBits: 8 bits, a scale for every block of inputs."""
    from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer
    from onnxruntime.quantization.onnx_model import ONNXModel

    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    matrices = ONNXModel(copied)
    matrices.replace_gemm_with_matmul()
    config = DefaultWeightOnlyQuantConfig(
        block_size=BLOCK_SIZE, is_symmetric=True, accuracy_level=INT8_ACTIVATIONS, bits=8
    )
    quantizer = MatMulNBitsQuantizer(matrices.model, algo_config=config)
    quantizer.process()
    result: onnx.ModelProto = quantizer.model.model
    return result


def with_dynamic_matrices(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose constant matrices are int8, one scale each; what they multiply is quantised as it comes."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "quantised.onnx")
        quantize_dynamic(
            model,
            path,
            op_types_to_quantize=["MatMul", "Gemm"],
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
        return onnx.load(path)


def _with_static_convolutions(model: onnx.ModelProto, work: Work) -> onnx.ModelProto:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "quantised.onnx")
        quantize_static(
            model,
            path,
            _reader(work),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(path)


def _reader(work: Work) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        """The feeds of one tick at a time, None after the last."""

        def __init__(self) -> None:
            self._feeds = closed_loop_feeds(work)

        def get_next(self) -> dict[str, Array] | None:
            return next(self._feeds, None)

    return Reader()


def _faster(work: Work, models: list[onnx.ModelProto]) -> onnx.ModelProto:
    """The model whose tick takes less time in the median on the example inputs; the models take turns."""
    ticks = [bound_tick(work, model) for model in models]
    rows = cycle(zip(*(work.examples[item.name] for item in work.spec.inputs), strict=True))
    times: list[list[float]] = [[] for _ in models]
    for _ in range(TRIAL_ROUNDS):
        for tick, samples in zip(ticks, times, strict=True):
            for _ in range(TRIAL_TICKS):
                row = next(rows)
                begin = perf_counter()
                tick(row)
                samples.append(perf_counter() - begin)
    fastest = min(range(len(models)), key=lambda index: median(times[index]))
    return models[fastest]
