"""A network of the suite made ready: calibrated to a firing rate, exported, with the inputs it is timed on.

The same name and rate give the same subject every time. Networks at the headline rate are kept in `out/benchmarks/`
until the code that makes them changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

import astroedge
from astroedge.models import AstroSNN, AstroSNNStep
from astroedge.step.graph import StepGraph
from benchmarks.networks.calibrate import astrosnn_patient, calibrate, step_patient
from benchmarks.networks.suite import HEADLINE_RATE, SUITE, Array, Entry
from benchmarks.places import REPOSITORY

KEPT = REPOSITORY / "out" / "benchmarks"
SOURCES = (
    "astroedge/models",
    "exporters",
    "benchmarks/networks/calibrate.py",
    "benchmarks/networks/subjects.py",
    "benchmarks/networks/suite.py",
)
STREAMS = 8  # that are calibrated side by side
EXAMPLES = 200  # ticks, on which export measures firing rates
WEIGHTS_SEED, CALIBRATION_SEED, EXAMPLES_SEED, INPUTS_SEED = range(4)


@dataclass(frozen=True)
class Subject:
    """A network with its inputs; `rate` is the firing rate it was calibrated to, None where that does not apply.

    - `step`: one tick in PyTorch on the CPU, in evaluation mode: `forward(*inputs, *state) -> (output, *state)`;
    - `state`: its initial state, batch 1;
    - `graph`: the same tick, exported; inputs and states in the same order;
    - `inputs`: what it is timed on, by name, `(T, 1, …)`;
    - `examples`: other inputs of the same kind, `(EXAMPLES, 1, …)`: what may be used to calibrate a quantisation.
    """

    name: str
    rate: float | None
    step: nn.Module
    state: list[Tensor]
    graph: StepGraph
    inputs: dict[str, Array]
    examples: dict[str, Array]

    @property
    def weights(self) -> int:
        """Number of weights, biases and embeddings."""
        return sum(parameter.numel() for parameter in self.step.parameters())


def make_subject(name: str, rate: float = HEADLINE_RATE, ticks: int = 512) -> Subject:
    """The network called `name` in the suite, firing at about `rate`, with inputs of `ticks` ticks."""
    return subject_of(name, SUITE[name], rate, ticks)


def subject_of(name: str, entry: Entry, rate: float, ticks: int) -> Subject:
    """The network that `entry` describes, calibrated and exported."""
    model = _calibrated(name, entry, rate)
    step = AstroSNNStep(model) if isinstance(model, AstroSNN) else model
    inputs = entry.draw(np.random.default_rng(INPUTS_SEED), ticks, 1, rate)
    examples = entry.draw(np.random.default_rng(EXAMPLES_SEED), EXAMPLES, 1, rate)
    state = _initial_state(step, 1)
    return Subject(
        name,
        rate if entry.chunks else None,
        step,
        state,
        _exported(name, step, state, rate, examples),
        inputs,
        examples,
    )


def _calibrated(name: str, entry: Entry, rate: float) -> nn.Module:
    """The model in evaluation mode, its parameters read if they were kept."""
    torch.manual_seed(WEIGHTS_SEED)
    model = entry.build().eval().requires_grad_(False)
    if not entry.chunks:
        return model
    kept = _kept_file(name, rate, "safetensors")
    if kept.is_file():
        model.load_state_dict(safetensors.torch.load_file(kept))
        return model
    print(f"{name}: calibrating {_millions(model)} weights to a firing rate of {rate:.0%}", flush=True)
    generator = np.random.default_rng(CALIBRATION_SEED)

    def draw(ticks: int) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(array) for array in entry.draw(generator, ticks, STREAMS, rate).values())

    with torch.inference_mode(), one_thread():
        if isinstance(model, AstroSNN):
            patient = astrosnn_patient(model, STREAMS, lambda ticks: draw(ticks)[0].t())
        else:
            patient = step_patient(model, _initial_state(model, STREAMS), lambda: tuple(x[0] for x in draw(1)))
        reached = calibrate(patient, rate, entry.chunks)
    for group, measured in reached.items():
        if abs(measured - rate) > 0.1 * rate:
            print(f"{name}: {group} fires at {measured:.1%} instead of {rate:.1%}", flush=True)
    if rate == HEADLINE_RATE:
        _forget_older(kept)
        safetensors.torch.save_file(model.state_dict(), kept)
    return model


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread: calibration then gives the same bits however many cores there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _initial_state(model: nn.Module, streams: int) -> list[Tensor]:
    """The state before the first tick; every model of the suite has a method that gives it."""
    initial: Callable[[int], list[Tensor]] = model.initial_state  # type: ignore[assignment]
    return initial(streams)


def _exported(name: str, step: nn.Module, state: list[Tensor], rate: float, examples: dict[str, Array]) -> StepGraph:
    """The step graph; its firing rates, which choose kernels, are measured on `examples`."""
    kept = _kept_file(name, rate, "onnx")
    if kept.is_file():
        return StepGraph.load(kept)
    print(f"{name}: exporting", flush=True)
    ticks = [tuple(map(torch.from_numpy, tick)) for tick in zip(*examples.values(), strict=True)]
    graph = astroedge.export(step, ticks[0], tuple(state), name=name, examples=ticks)
    if rate == HEADLINE_RATE:
        _forget_older(kept)
        graph.save(kept)
    return graph


def _kept_file(name: str, rate: float, suffix: str) -> Path:
    return KEPT / f"{name}-{rate:g}-{_source_digest()}.{suffix}"


def _forget_older(kept: Path) -> None:
    """Delete what an older version of the code kept under this name."""
    KEPT.mkdir(parents=True, exist_ok=True)
    stem = kept.name.rsplit("-", 1)[0]
    for path in KEPT.glob(f"{stem}-*{kept.suffix}"):
        path.unlink()


@cache
def _source_digest() -> str:
    """Twelve digits that change with the code that makes subjects."""
    digest = hashlib.sha256()
    for source in SOURCES:
        path = REPOSITORY / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _millions(model: nn.Module) -> str:
    return f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.2f} million"
