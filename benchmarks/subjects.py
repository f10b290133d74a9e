"""The networks that are timed: the example language model, trained, and 25 million random weights that fire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import astroedge
from astroedge.errors import InputError
from astroedge.models import AstroSNN, load_checkpoint, save_checkpoint
from astroedge.models.astrosnn import AstroSNNStep
from astroedge.step_graph import StepGraph
from calibrate import LARGE, RATE, calibrated_astrosnn

REPOSITORY = Path(__file__).resolve().parents[1]
CHECKPOINT = REPOSITORY / "examples" / "char_lm" / "astrosnn.safetensors"
# Calibration takes a minute or two; it always gives the same weights, so the result is kept.
KEPT = REPOSITORY / "out" / "benchmarks" / "astrosnn-25m.safetensors"
EXAMPLES = 200


@dataclass(frozen=True)
class Subject:
    """A network with the tokens it is timed on: `model` in PyTorch, `graph` exported, `tokens (T,)` int64."""

    name: str
    model: AstroSNN
    graph: StepGraph
    tokens: NDArray[np.int64]

    @property
    def weights(self) -> int:
        """Number of weights, biases and embeddings."""
        return sum(parameter.numel() for parameter in self.model.parameters())


def demo(ticks: int) -> Subject:
    """The example language model on English text: this repository's own documentation."""
    text = (REPOSITORY / "README.md").read_bytes()
    tokens = np.resize(np.frombuffer(text, np.uint8), ticks).astype(np.int64)
    return _subject("demo", load_checkpoint(CHECKPOINT), tokens)


def large(ticks: int) -> Subject:
    """An AstroSNN of 25 million random weights whose neurons fire at `RATE`, on random tokens."""
    tokens = np.random.default_rng(1).integers(0, LARGE.vocabulary, ticks)
    return _subject("astrosnn-25m", _large_model(), tokens)


SUBJECTS: dict[str, Callable[[int], Subject]] = {"demo": demo, "astrosnn-25m": large}


def _large_model() -> AstroSNN:
    try:
        model = load_checkpoint(KEPT)
    except InputError:
        model = None
    if model is None or model.config != LARGE:
        print(f"calibrating {LARGE.layers} layers to a firing rate of {RATE:.0%}; the result is kept in {KEPT}")
        model = calibrated_astrosnn(LARGE)
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        save_checkpoint(model, KEPT)
    return model


def _subject(name: str, model: AstroSNN, tokens: NDArray[np.int64]) -> Subject:
    """Export the model; its firing rates, which choose kernels, are measured on other tokens than it is timed on."""
    step = AstroSNNStep(model)
    examples = [(torch.from_numpy(token),) for token in np.flip(tokens)[:EXAMPLES, None].copy()]
    graph = astroedge.export(step, (examples[0][0],), step.initial_state(), name=name, examples=examples)
    return Subject(name, model, graph, tokens)
