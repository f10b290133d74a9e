"""ExecuTorch in float32, with everything that XNNPACK takes delegated to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.peers.buffered_step import BufferedStep
from benchmarks.peers.peer import Peer
from benchmarks.peers.work import Array, Tick, Work

PACKAGES = ("executorch", "torch")

PEER = Peer(
    name="executorch",
    precision="fp32",
    recipe="torch.export, to_edge_transform_and_lower with XnnpackPartitioner, the other operations by ExecuTorch's "
    "own kernels. The state is in mutable buffers of the program (passing it from call to call copies more and takes "
    "longer); outputs are not cloned.",
    module=__name__,
    packages=PACKAGES,
)


def start(work: Work) -> Tick:
    """The step module as it is."""
    path = work.kept(".pte", list(PEER.versions().values()), lambda path: lower(work, buffered(work), path))
    return program_tick(work, path)


def buffered(work: Work) -> torch.nn.Module:
    """The step module with its state in buffers."""
    return BufferedStep(work.step, work.state).eval().requires_grad_(False)


def lower(work: Work, module: torch.nn.Module, path: Path) -> None:
    """Write the program of `module` to `path`."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    inputs = tuple(map(torch.from_numpy, work.zero_inputs()))
    exported = torch.export.export(module, inputs)
    program = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()]).to_executorch()
    path.write_bytes(program.buffer)


def program_tick(work: Work, path: Path) -> Tick:
    """A tick of the program in `path`."""
    from executorch.extension.pybindings import portable_lib

    portable_lib._unsafe_reset_threadpool(work.threads)
    program = portable_lib._load_program(str(path))
    method = program.load_method("forward")

    def tick(row: Sequence[Array]) -> Array:
        result: Array = method([torch.from_numpy(value) for value in row], clone_outputs=False)[0].numpy()
        return result

    return tick
