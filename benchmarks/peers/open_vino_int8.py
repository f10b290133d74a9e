"""OpenVINO with 8-bit weights, or in 8 bits throughout its convolutions."""

from __future__ import annotations

import os
from typing import Any

from benchmarks.peers.closed_loop import closed_loop_feeds
from benchmarks.peers.open_vino import read_model, stateful_tick
from benchmarks.peers.peer import Peer
from benchmarks.peers.work import Tick, Work

# Activations of a matrix are quantised to int8 as they come, so many at a time; 0 would compute in float32.
GROUP = 32

PEER = Peer(
    name="openvino int8",
    precision="int8",
    recipe="Matrices and embeddings: nncf.compress_weights INT8_ASYM, by output channel, "
    "DYNAMIC_QUANTIZATION_GROUP_SIZE 32 (activations int8 as they come; 0 and the whole row take longer). A network "
    "with convolutions: nncf.quantize, static int8 for convolutions and matrices alone, ranges from 100 ticks of "
    "example inputs. The rest as in float32.",
    module=__name__,
    packages=("openvino", "nncf"),
)


def start(work: Work) -> Tick:
    """The step graph with quantised matrices and convolutions."""
    from openvino.properties import hint

    os.environ["NNCF_CI"] = "1"  # or NNCF reports its use
    model = read_model(work)
    convolutions = any(node.op_type == "Conv" for node in work.graph.model.graph.node)
    model = _statically_quantised(model, work) if convolutions else _compressed(model)
    return stateful_tick(work, model, {hint.dynamic_quantization_group_size: GROUP})


def _compressed(model: Any) -> Any:
    import nncf

    return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM)


def _statically_quantised(model: Any, work: Work) -> Any:
    import nncf

    others = {node.get_type_name() for node in model.get_ops()} - {"Convolution", "GroupConvolution", "MatMul"}
    return nncf.quantize(
        model,
        nncf.Dataset(list(closed_loop_feeds(work))),
        ignored_scope=nncf.IgnoredScope(types=sorted(others), validate=False),
    )
