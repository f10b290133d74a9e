"""The runtimes AstroEdge is timed against, each stepping the same network as fast as it goes from Python."""

from __future__ import annotations

from benchmarks.peers import (
    executorch_xnnpack,
    executorch_xnnpack_int8,
    iree,
    onnx_runtime,
    onnx_runtime_int8,
    open_vino,
    open_vino_int8,
    torch_compile,
    torch_eager,
)
from benchmarks.peers.peer import Peer, Subject

__all__ = ["PEERS", "Peer", "Subject"]

MODULES = (
    onnx_runtime,
    onnx_runtime_int8,
    executorch_xnnpack,
    executorch_xnnpack_int8,
    open_vino,
    open_vino_int8,
    iree,
    torch_eager,
    torch_compile,
)
PEERS: dict[str, Peer] = {module.PEER.name: module.PEER for module in MODULES}
