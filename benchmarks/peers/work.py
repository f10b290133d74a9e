"""What a peer's process is given: the network in ONNX and in PyTorch, and where to keep what it compiles."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from astroedge.replace_file import replacing
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StepSpec
from benchmarks.places import REPOSITORY
from benchmarks.processes.worker import Array, Tick

KEPT = REPOSITORY / "out" / "benchmarks" / "peers"

__all__ = ["Array", "Tick", "Work"]


@dataclass(frozen=True)
class Work:
    """A network to step on `threads` threads, by the functions of `module`; the rest as in `peer.Subject`."""

    name: str
    graph: StepGraph
    step: nn.Module
    state: tuple[Tensor, ...]
    examples: dict[str, Array]
    threads: int
    module: str

    @property
    def spec(self) -> StepSpec:
        """The contract of a tick."""
        return self.graph.spec

    @property
    def names(self) -> list[str]:
        """The inputs' names, in order."""
        return [item.name for item in self.spec.inputs]

    def zero_inputs(self) -> list[Array]:
        """An array of zeros for each input: what a peer that must run once to be ready is run on."""
        return [np.zeros(item.shape, item.dtype) for item in self.spec.inputs]

    def kept(self, suffix: str, versions: Sequence[str], make: Callable[[Path], object]) -> Path:
        """The file that `make(path)` writes, from an earlier run if nothing that decides it has changed since.

        Decisive are the network, the source of the peer's module and `versions`, in which everything else has to be.
        One file is kept for a network and a peer.
        """
        source = Path(str(importlib.import_module(self.module).__file__)).read_bytes()
        parts = [self.graph.digest.encode(), source, *(item.encode() for item in versions)]
        digest = hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]
        folder = KEPT / self.name
        stem = self.module.rpartition(".")[2]
        path = folder / f"{stem}-{digest}{suffix}"
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            for older in folder.glob(f"{stem}-*{suffix}"):
                older.unlink()
            with replacing(path, folder / f"{stem}.partial{suffix}") as partial:
                make(partial)
        return path
