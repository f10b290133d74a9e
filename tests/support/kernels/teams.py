"""What kernels of a team are called with, and a call as one of its threads makes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import tvm

from astroedge.targets.compiler.threads.divide_loops import undivided
from astroedge.targets.kernels.products.active_list import active_list, bounds_size
from astroedge.targets.kernels.products.event_gemv import pack_event
from astroedge.targets.precision.storage import FLOAT32, Storage
from astroedge.targets.precision.weight_format import store
from tests.support.kernels.harness import build, call

DRAW = np.random.default_rng(5)


def draw(*shape: int) -> np.ndarray:
    """Float32 numbers around 0."""
    return DRAW.standard_normal(shape).astype(np.float32)


def event_operands(rows: int, columns: int, batch: int, storage: Storage = FLOAT32) -> list[np.ndarray]:
    """Active lists of random spikes, and random weights as an event-driven product reads them."""
    spikes = DRAW.random(batch * rows) < 0.2
    empty = [np.zeros(batch * rows, np.int32), np.zeros(batch * bounds_size(rows), np.int32), np.zeros(1, np.int64)]
    indices, bounds, _ = call(build(undivided(active_list(rows, "bool", batch))), [spikes], empty)
    return [indices, bounds, *given(pack_event(store(draw(rows, columns), storage)))]


def given(packed: tuple[np.ndarray, np.ndarray | None]) -> list[np.ndarray]:
    """Packed weights, and their scales if they have any."""
    return [item for item in packed if item is not None]


def team_call(module: Any, inputs: list[np.ndarray], output: np.ndarray, thread: int, threads: int) -> np.ndarray:
    """What one thread of a team writes into a copy of `output`."""
    tensors = [tvm.runtime.tensor(array) for array in (*inputs, output)]
    module["kernel"](*tensors, thread, threads)
    result: np.ndarray = tensors[-1].numpy()
    return result
