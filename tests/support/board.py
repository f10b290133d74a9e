"""What the ARM tests run on the emulated board, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.step.graph import StepGraph
from tests.support import graphs
from tests.support.arm_root import ArmRoot
from tests.support.conversions import conversions, numbers_to_convert
from tests.support.denormals import denormals, small_numbers
from tests.support.every_function import every_function, function_inputs

BOARD = "raspberry-pi-4"
TICKS = 2000
MOVED = graphs.recurrent_net  # whose stream is moved from this machine to the board
BOARD32 = "raspberry-pi-2"
HARD_CASES = {builder.__name__: builder for builder in graphs.ALL}
Result = dict[str, Any]
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Board:
    """The folder of every case that ran on the emulated board, and by its name what `run_bundle` gave there."""

    root: ArmRoot
    folders: dict[str, Path]
    results: dict[str, Result]


def write_case(folder: Path, bundle: Bundle, inputs: dict[str, np.ndarray], threads: int = 1) -> Path:
    """Write what `run_bundle` reads."""
    folder.mkdir()
    (folder / "threads").write_text(str(threads))
    bundle.save(folder / "step.astro")
    np.savez(folder / "inputs.npz", **inputs)
    return folder


def later_half(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inputs of the second half of the ticks."""
    return {name: array[TICKS // 2 :] for name, array in inputs.items()}


def stream_after_half(bundle: Bundle, inputs: dict[str, np.ndarray]) -> bytes:
    """The snapshot of a stream that has gone through the first half of the ticks on this machine."""
    with astroedge.load(bundle) as session:
        session.run(**{name: array[: TICKS // 2] for name, array in inputs.items()})
        return session.snapshot()


CASES32: dict[str, tuple[Callable[[], StepGraph], Callable[[], Arrays]]] = {
    "lif_layer": (graphs.lif_layer, lambda: inputs_of(graphs.lif_layer)),
    "recurrent_net": (graphs.recurrent_net, lambda: inputs_of(graphs.recurrent_net)),
    "functions": (every_function, lambda: function_inputs(4)),
    "conversions": (conversions, numbers_to_convert),
    "denormals": (denormals, small_numbers),
}
"""What runs on the 32-bit board, and on which inputs."""

NETWORKS32 = {"demo": 50, "gru": 50, "convolutional": 20}
"""Networks of `tests.support.networks` that run there, for how many ticks; `make exactness` runs them for 10,000."""


def inputs_of(builder: Callable[[], StepGraph]) -> dict[str, np.ndarray]:
    """Data for all ticks of a hand-written graph."""
    return graphs.random_inputs(builder(), TICKS, seed=7)
