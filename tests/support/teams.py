"""A bundle whose tick threads compute together, written by hand (tests/support/team_tick.c), and the same in NumPy."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astroedge.bundle.container import Bundle, describe_weights
from astroedge.bundle.manifest import BufferField, BundleFiles, InputField, Layout, Manifest, StateField
from astroedge.runtimes import load
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from astroedge.targets.boards.target import Target, resolve_target
from astroedge.targets.link.linker import link_library
from tests.support.bundles import SEED, compile_tick, make_golden, tiny_manifest

TEAM_TICK = Path(__file__).with_name("team_tick.c").read_text(encoding="utf-8")
SIZE = 1024


def team_manifest(target: Target) -> Manifest:
    """The manifest of the hand-written step before linking."""
    layout = Layout(
        inputs_size=64,
        inputs=(InputField("x", (1,), "int64", 0, 8, False, False, 0, 0, "spike", 2**52),),
        outputs_size=64,
        outputs=(BufferField("y", (1,), "int64", 0, 8),),
        state_size=8 * SIZE,
        state=(StateField("s", (SIZE,), "int64", 0, 8 * SIZE, False, (0.0).hex(), 0),),
        weights_size=64,
        weights=(),
        workspace_size=8 * SIZE + 64,
    )
    step = StepSpec(
        inputs=(TensorSpec("x", (1,), "int64"),),
        outputs=(TensorSpec("y", (1,), "int64"),),
        states=(StateSpec("s", (SIZE,), "int64"),),
    )
    manifest = replace(tiny_manifest(target), model="stirred", layout=layout, step=step, activity=(), matrices=())
    return replace(manifest, weights=describe_weights(bytes(64)), threads=64)


@cache
def team_bundle(target: str = "native", source: str = TEAM_TICK) -> Bundle:
    """The hand-written step, or a variation of it, as a bundle without a golden trace."""
    return _link(team_manifest(resolve_target(target)), target, source)


@cache
def proven_team_bundle() -> Bundle:
    """The hand-written step for this machine, with the golden trace that one thread makes."""
    with load(team_bundle(), threads=1) as session:
        golden = make_golden(session, SEED)
    return _link(replace(team_bundle().manifest, golden=golden), "native", TEAM_TICK)


def _link(manifest: Manifest, target: str, source: str) -> Bundle:
    goal = resolve_target(target)
    team = compile_tick(f"#define TEAM\n{source}", goal)
    library = link_library(compile_tick(source, goal), manifest, goal, team)
    return Bundle(manifest, BundleFiles(library, bytes(64)))


def stirred(inputs: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """What ticks on `inputs (T, 1)` give: the outputs `(T, 1)` and the state after the last."""
    place = np.arange(SIZE, dtype=np.uint64)
    state, outputs = np.zeros(SIZE, np.uint64), []
    for x in inputs[:, 0]:
        seed = (int(state[SIZE // 2]) * 6364136223846793005 + int(x) + 1) % 2**64
        row = (state ^ np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15) + place
        state = (row >> np.uint64(7)) ^ row[::-1] ^ np.roll(row, -517)
        folded = 0
        for number in state.tolist():
            folded = (folded * 31 + number) % 2**64
        outputs.append([folded])
    return np.array(outputs, np.uint64), state
