"""A process with the fake driver: what checks of sessions on a GPU have in common.

The first argument of the process is a folder with the tiny layer: cpu.astro for the processor, gpu.astro for a GPU,
and wide.astro and middling.astro the same with larger records. The fake driver is there too, and the log of its calls,
`calls`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

import astroedge
from astroedge.runtimes.session.compiled import CompiledSession

FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
GPU, CPU = FOLDER / "gpu.astro", FOLDER / "cpu.astro"
WIDE, MIDDLING = FOLDER / "wide.astro", FOLDER / "middling.astro"


@contextmanager
def both() -> Iterator[tuple[CompiledSession, CompiledSession]]:
    """A session on the GPU and one on the processor, of the same layer."""
    with astroedge.load(GPU) as gpu, astroedge.load(CPU) as cpu:
        yield gpu, cpu


def tick(inputs: dict[str, Any], index: int) -> dict[str, Any]:
    """One tick of many."""
    return {name: array[index] for name, array in inputs.items()}


def assert_same(ours: dict[str, NDArray[Any]], theirs: dict[str, NDArray[Any]]) -> None:
    """Outputs are equal bit for bit."""
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert array.tobytes() == theirs[name].tobytes(), name


@contextmanager
def settings(text: str) -> Iterator[None]:
    """The driver plays a GPU with further settings."""
    before = os.environ["FAKE_CUDA"]
    os.environ["FAKE_CUDA"] = f"{before} {text}"
    try:
        yield
    finally:
        os.environ["FAKE_CUDA"] = before


def calls(name: str) -> int:
    """How often the driver's function was called."""
    return (FOLDER / "calls").read_text(encoding="ascii").split("\n").count(name)


def failing(name: str, error: int, later: int = 1) -> Any:
    """The driver's function fails at its next call, or a later one."""
    return settings(f"fail={name}:{calls(name) + later}:{error}")


def succeeded(name: str) -> int:
    """How often the driver's function was called and did not fail."""
    lines = (FOLDER / "calls").read_text(encoding="ascii").split("\n")
    return calls(name) - sum(line.startswith(f"{name} fails") for line in lines)
