"""The networks of the benchmark suite: how each is built and what it is fed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from astroedge.models import (
    ALIFNetwork,
    AstroSNN,
    AstroSNNConfig,
    ConvLIFNetwork,
    GRUNetwork,
    LIFNetwork,
    SpikingRWKV,
    load_checkpoint,
)
from benchmarks.places import CHECKPOINT, REPOSITORY

Array = NDArray[Any]
# (generator, ticks, streams, firing rate) → inputs by name, `(ticks, streams, …)`.
Draw = Callable[[np.random.Generator, int, int, float], dict[str, Array]]


@dataclass(frozen=True)
class Entry:
    """A network of the suite: `build` makes it with random weights from torch's global generator, `draw` its inputs.

    `chunks` is how long it is calibrated, 0 for a network in which nothing is to be calibrated.
    """

    title: str
    build: Callable[[], nn.Module]
    draw: Draw
    chunks: int


def spikes(*shape: int) -> Draw:
    """Inputs `x` that are 1 at the firing rate, everywhere and at any time."""

    def draw(generator: np.random.Generator, ticks: int, streams: int, rate: float) -> dict[str, Array]:
        return {"x": (generator.random((ticks, streams, *shape), np.float32) < rate).astype(np.float32)}

    return draw


def features(width: int) -> Draw:
    """Inputs `x` from a normal distribution."""

    def draw(generator: np.random.Generator, ticks: int, streams: int, rate: float) -> dict[str, Array]:
        return {"x": generator.standard_normal((ticks, streams, width), np.float32)}

    return draw


def tokens(vocabulary: int) -> Draw:
    """Tokens that are all equally likely."""

    def draw(generator: np.random.Generator, ticks: int, streams: int, rate: float) -> dict[str, Array]:
        return {"token": generator.integers(0, vocabulary, (ticks, streams))}

    return draw


def text(generator: np.random.Generator, ticks: int, streams: int, rate: float) -> dict[str, Array]:
    """Bytes of English: this repository's own documentation, from a random place on."""
    source = np.frombuffer((REPOSITORY / "README.md").read_bytes(), np.uint8).astype(np.int64)
    starts = generator.integers(0, len(source), streams)
    return {"token": np.stack([np.resize(np.roll(source, -start), ticks) for start in starts], axis=1)}


def astrosnn(vocabulary: int, width: int, heads: int, feed_forward: int, layers: int, chunks: int = 40) -> Entry:
    """An AstroSNN whose memories of up to 32 ticks settle while it is calibrated."""
    config = AstroSNNConfig(
        vocabulary, width, heads, feed_forward, layers, shortest_memory=4.0, longest_memory=32.0, dropout=0.0
    )
    return Entry(f"AstroSNN, {layers} layers of {width}", lambda: AstroSNN(config).eval(), tokens(vocabulary), chunks)


SUITE: dict[str, Entry] = {
    "lif-tiny": Entry("tiny LIF net 32-64-10", LIFNetwork, spikes(32), 100),
    "alif-shd": Entry("recurrent ALIF net 700-512-512-20", ALIFNetwork, spikes(700), 150),
    "spiking-rwkv-25m": Entry("spiking RWKV-like language model", SpikingRWKV, tokens(4096), 50),
    "gru-keywords": Entry("GRU keyword spotter 40-256-256-12", GRUNetwork, features(40), 0),
    "nmnist-conv": Entry("N-MNIST convolutional LIF net", ConvLIFNetwork, spikes(2, 34, 34), 60),
    "astrosnn-demo": Entry("AstroSNN, trained, on text", lambda: load_checkpoint(CHECKPOINT), text, 0),
    "astrosnn-1m": astrosnn(vocabulary=256, width=192, heads=6, feed_forward=512, layers=2),
    "astrosnn-5m": astrosnn(vocabulary=256, width=384, heads=6, feed_forward=1024, layers=3),
    "astrosnn-25m": astrosnn(vocabulary=4096, width=512, heads=8, feed_forward=2048, layers=6),
}
RATES = (0.01, 0.02, 0.05, 0.10, 0.20, 0.50)
HEADLINE_RATE = 0.10
