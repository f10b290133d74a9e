"""A small bundle from a tick written by hand (tests/support/tiny_tick.c), and the same layer in NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroedge.bundle.container import Bundle, describe_library, describe_weights
from astroedge.bundle.manifest import (
    Activity,
    BufferField,
    BundleFiles,
    Golden,
    InputField,
    Kernel,
    Layout,
    Manifest,
    Matrix,
    StateField,
)
from astroedge.bundle.manifest_file import linked_digest
from astroedge.runtimes import load
from astroedge.runtimes.checking.golden import GOLDEN_TICKS, trace
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.step.spec import SpikeSpec, StateSpec, StepSpec, TensorSpec
from astroedge.targets.boards.target import Target, resolve_target
from astroedge.targets.link.linker import find_linker, link_library, run_compiler

TINY_TICK = Path(__file__).with_name("tiny_tick.c").read_text(encoding="utf-8")
NEURONS, FEATURES, READOUTS, TOKENS = 32, 8, 4, 16
SEED = 20_240_607


@cache
def tiny_weights() -> dict[str, NDArray[np.float32]]:
    """The weights by name; small random numbers that make the neurons fire at about a fifth of the ticks."""
    draw = np.random.default_rng(7)
    return {
        "embedding": draw.normal(0.7, 0.4, (TOKENS, NEURONS)).astype(np.float32),
        "input": draw.normal(0.0, 0.25, (FEATURES, NEURONS)).astype(np.float32),
        "readout": draw.normal(0.0, 1.0, (NEURONS, READOUTS)).astype(np.float32),
        "initial.v": draw.uniform(-0.5, 0.5, (1, NEURONS)).astype(np.float32),
    }


def weights_bytes() -> bytes:
    """The weights file; every array's size is a multiple of 64, so there is no padding."""
    return b"".join(array.tobytes() for array in tiny_weights().values())


def tiny_step() -> StepSpec:
    """The contract of the layer."""
    return StepSpec(
        inputs=(
            TensorSpec("token", (1,), "int64", index_range=(0, TOKENS)),
            TensorSpec("x", (1, FEATURES), "float32", span=1.0),
            TensorSpec("gate", (2,), "float16", span=1.0),
        ),
        outputs=(TensorSpec("y", (1, READOUTS), "float32"), TensorSpec("spikes", (1, NEURONS), "bool")),
        states=(
            StateSpec("lif.v", (1, NEURONS), "float32", initial=None),
            StateSpec("lif.threshold", (1, NEURONS), "float32", initial=1.0),
            StateSpec("ticks", (), "int64", batch_axis=None),
        ),
        spikes=(SpikeSpec("lif.spikes", "spikes", (1, NEURONS), 0.2),),
        source={"framework": "by hand", "version": "1"},
    )


def tiny_layout() -> Layout:
    """Where tiny_tick.c has its arrays."""
    return Layout(
        inputs_size=192,
        inputs=(
            InputField("token", (1,), "int64", 0, 8, False, True, 0, TOKENS, "index", 0),
            InputField("x", (1, FEATURES), "float32", 64, 32, True, False, 0, 0, "uniform", 0),
            InputField("gate", (2,), "float16", 128, 4, True, False, 0, 0, "uniform", 0),
        ),
        outputs_size=128,
        outputs=(
            BufferField("y", (1, READOUTS), "float32", 0, 16),
            BufferField("spikes", (1, NEURONS), "bool", 64, 32),
        ),
        state_size=384,
        state=(
            StateField("lif.v", (1, NEURONS), "float32", 0, 128, False, None, 3584),
            StateField("lif.threshold", (1, NEURONS), "float32", 128, 128, False, (1.0).hex(), 0),
            StateField("ticks", (), "int64", 256, 8, False, (0.0).hex(), 0),
            StateField("lif.last", (NEURONS,), "uint8", 320, 32, True, (0.0).hex(), 0),
        ),
        weights_size=3712,
        weights=(
            BufferField("embedding", (TOKENS, NEURONS), "float32", 0, 2048),
            BufferField("input", (FEATURES, NEURONS), "float32", 2048, 1024),
            BufferField("readout", (NEURONS, READOUTS), "float32", 3072, 512),
            BufferField("initial.v", (1, NEURONS), "float32", 3584, 128),
        ),
        workspace_size=64,
    )


def tiny_manifest(target: Target) -> Manifest:
    """The manifest before linking: no library yet, no golden trace."""
    return Manifest(
        model="tiny",
        graph_sha256=sha256(b"tiny graph").hexdigest(),
        target=target.identity,
        step=tiny_step(),
        layout=tiny_layout(),
        activity=(Activity("lif.spikes", NEURONS, 0, 0.2),),
        matrices=(Matrix("readout", NEURONS, READOUTS, 1, "event", "by hand", "lif.spikes", 128, 512),),
        kernels=(Kernel("tiny_tick", "by hand", ("everything",)),),
        golden=Golden(SEED, (), {}),
        library=describe_library(b""),
        weights=describe_weights(weights_bytes()),
        assets=(),
        compiler={"linker": find_linker(target).version},
    )


@cache
def compile_tick(source: str, target: Target) -> bytes:
    """Compile C source that defines `astroedge_tick` to an object for a target."""
    with TemporaryDirectory() as name:
        (Path(name) / "tick.c").write_text(source, encoding="utf-8")
        options = ["-std=c11", "-O2", "-fPIC", "-ffreestanding", "-ffp-contract=off", "-c", "tick.c", "-o", "tick.o"]
        run_compiler(find_linker(target), options, Path(name))
        return (Path(name) / "tick.o").read_bytes()


def make_bundle(
    manifest: Manifest, source: str, weights: bytes, target: Target, assets: Mapping[str, bytes] | None = None
) -> Bundle:
    """Compile a tick, link it for a manifest and put it into a bundle, without a golden trace."""
    linked = replace(manifest, weights=describe_weights(weights))
    library = link_library(compile_tick(source, target), linked, target)
    return Bundle(linked, BundleFiles(library, weights, assets or {}))


def edited(
    bundle: Bundle, weights: bytes | None = None, assets: Mapping[str, bytes] | None = None, **changes: Any
) -> Bundle:
    """A bundle whose manifest was changed and whose library was made to belong to it, without being linked anew."""
    content = bundle.weights().tobytes() if weights is None else weights
    manifest = replace(bundle.manifest, weights=describe_weights(content), **changes)
    library = bundle.library().replace(bundle.linked_digest.encode(), linked_digest(manifest).encode())
    return Bundle(manifest, BundleFiles(library, content, assets or {}))


def make_golden(session: CompiledSession, seed: int, ticks: Sequence[int] = GOLDEN_TICKS) -> Golden:
    """The golden trace of a session's bundle, to be linked into it, without any parity."""
    return Golden(seed, tuple(trace(session, seed, ticks)), {})


@cache
def tiny_golden() -> Golden:
    """The golden trace of the layer, from a bundle for this machine."""
    target = resolve_target("native")
    with load(make_bundle(tiny_manifest(target), TINY_TICK, weights_bytes(), target)) as session:
        return make_golden(session, SEED)


def make_tiny_bundle(target: str | Target = "native", assets: Mapping[str, bytes] | None = None) -> Bundle:
    """A complete bundle of the layer, in memory; its bits are the same on every target."""
    resolved = resolve_target(target)
    manifest = replace(tiny_manifest(resolved), golden=tiny_golden())
    return make_bundle(manifest, TINY_TICK, weights_bytes(), resolved, assets)


def draw_ticks(ticks: int, seed: int = 1) -> dict[str, NDArray[Any]]:
    """Inputs for a run of the layer."""
    draw = np.random.default_rng(seed)
    return {
        "token": draw.integers(0, TOKENS, (ticks, 1)),
        "x": draw.uniform(-1, 1, (ticks, 1, FEATURES)).astype(np.float32),
        "gate": draw.uniform(-1, 1, (ticks, 2)).astype(np.float16),
    }


def one_tick() -> dict[str, Any]:
    """Inputs of one tick."""
    return {name: array[0] for name, array in draw_ticks(1).items()}


class TinyModel:
    """The layer in NumPy, with the same roundings in the same order."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Go back to before the first tick."""
        self.v = tiny_weights()["initial.v"].copy()
        self.threshold = np.ones((1, NEURONS), np.float32)
        self.last = np.zeros((1, NEURONS), bool)
        self.ticks = 0

    def step(
        self, token: int, x: NDArray[np.float32], gate: NDArray[np.float16]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """One tick: `(y, spikes)`."""
        weights = tiny_weights()
        current = weights["embedding"][token][None].copy()
        for feature in range(FEATURES):
            current += x[0, feature] * weights["input"][feature]
        for value in gate:
            current -= np.float32(0.5 if np.signbit(value) else 0.0)
        decayed = self.v * np.float32(0.875) + current
        self.v = decayed - np.where(self.last, self.threshold, np.float32(0))
        self.last = self.v >= self.threshold
        settled = np.float32(1) + (self.threshold - np.float32(1)) * np.float32(0.5)
        self.threshold = np.where(self.last, self.threshold + np.float32(0.25), settled)
        y = np.zeros((1, READOUTS), np.float32)
        for neuron in np.flatnonzero(self.last):
            y += weights["readout"][neuron]
        self.ticks += 1
        return y, self.last.copy()
