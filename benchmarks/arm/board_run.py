"""Steps run on an emulated board: what a tick of each executes, and the cycles that llvm-mca gives it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.arm.counts import TickCounts, cases_of, read_sections
from benchmarks.arm.cycles import block_cycles, estimate, hottest
from benchmarks.arm.tools import Tools

OUR_CODE = "astroedge-step"  # what Linux calls the memory that the library of a bundle lies in
PEER_CODE = "onnxruntime_pybind11_state"


@dataclass(frozen=True)
class Case:
    """What `guest.py` reads: a step and the data file it runs `ticks` and twice `ticks` of."""

    kind: str
    step: str
    inputs: str
    ticks: int


@dataclass(frozen=True)
class Tick:
    """A tick in the mean: instructions in all, those of the runtime's own library, and the cycles of these."""

    instructions: int
    own: int
    cycles: int


def run_cases(tools: Tools, cpu: str, cases: Sequence[Case], folder: Path) -> list[Tick]:
    """A tick of each case on an emulated `cpu`; files go to `folder`.

    Raises NoPackagesError when the emulated program fails.
    """
    listed, written = folder / "cases.json", folder / "counts.txt"
    listed.write_text(json.dumps([asdict(case) for case in cases]), encoding="utf-8")
    tools.count(cpu, listed, written, OUR_CODE, PEER_CODE)
    ticks = cases[0].ticks
    counted = list(cases_of(read_sections(written.read_text(encoding="utf-8")), ticks))
    hot = [hottest(counts.blocks) for counts in counted]
    cycles = block_cycles(tools, cpu, list(dict.fromkeys(block for blocks in hot for block in blocks)))
    return [_tick(each, {block: cycles[block] for block in found}) for each, found in zip(counted, hot, strict=True)]


def _tick(counts: TickCounts, cycles: Mapping[tuple[str, ...], float]) -> Tick:
    found = estimate(counts.blocks, cycles)
    return Tick(round(counts.total), round(found.instructions), round(found.cycles))


def save_inputs(path: Path, inputs: Mapping[str, NDArray[Any]], ticks: int) -> str:
    """The path of a file with the inputs of twice as many ticks, as `guest.py` reads it."""
    kept: dict[str, Any] = {name: array[: 2 * ticks] for name, array in inputs.items()}
    np.savez(path, **kept)
    return str(path)
