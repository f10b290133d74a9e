"""Spikes that carry more than one: every reader of a firing rate counts what is not zero, and none the sizes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import astroedge

TICKS = 64
SIZES = {"read": 48, "two": 64, "count": 24, "ternary": 32}
OUTPUTS = 8


class Graded(nn.Module):
    """A graded input, spikes of size 2 by a choice, counts, ternary spikes: each read by a matrix."""

    def __init__(self) -> None:
        """Draw the weights."""
        super().__init__()
        torch.manual_seed(0)
        widths = [*SIZES.values(), OUTPUTS]
        self.read, self.two, self.count, self.ternary = (
            nn.Linear(inputs, outputs) for inputs, outputs in pairwise(widths)
        )
        self.a, self.b, self.c = (torch.zeros(1, width) for width in widths[1:4])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(1, 48) → what the matrices read, but for the input, and what the last of them gives."""
        self.a = 0.5 * self.a + self.read(x)
        fired = self.a > 0.6
        self.a = torch.where(fired, 0.0, self.a)
        twos = torch.where(fired, 2.0, 0.0)
        self.b = 0.8 * self.b + self.two(twos)
        counts = torch.floor(self.b / 0.5).clamp(0, 3)
        self.b = self.b - 0.5 * counts
        self.c = 0.5 * self.c + self.count(counts)
        signs = (self.c > 0.5).float() - (self.c < -0.5).float()
        self.c = self.c * (1 - signs.abs())
        return twos, counts, signs, self.ternary(signs)


def test_every_reader_of_a_rate_counts_what_is_not_zero() -> None:
    """Export, counters, profile and synaptic operations agree; drawn inputs are like the examples."""
    generator = torch.Generator().manual_seed(0)
    fired = torch.rand(TICKS, 1, SIZES["read"], generator=generator) < 0.2
    data = fired * torch.tensor([0.3, 2.0])[torch.randint(0, 2, fired.shape, generator=generator)]
    names = ["twos", "counts", "signs", "y"]
    graph = astroedge.export(Graded().eval(), (data[0],), examples=[(tick,) for tick in data], output_names=names)
    bundle = astroedge.compile(graph)
    with astroedge.load(bundle) as session:
        read = {"read": data.numpy(), **session.run(x=data.numpy())}
        counted = session.activity()
    reads = dict(zip(SIZES, (read[name] for name in ("read", "twos", "counts", "signs")), strict=True))
    assert np.unique(reads["count"]).tolist() == [0, 1, 2]
    assert np.unique(reads["ternary"]).tolist() == [-1, 0, 1]
    matrices = {item.name: item for item in bundle.manifest.matrices}
    assert [matrices[name].graded for name in SIZES] == [True, False, True, False]
    recorded = {item.name: item.firing_rate for item in bundle.manifest.activity}
    for name, values in reads.items():
        source = matrices[name].spikes
        assert source is not None, name
        assert counted[source].active == np.count_nonzero(values), name
        assert recorded[source] == pytest.approx(np.count_nonzero(values) / values.size, rel=0.02), name

    profiled = astroedge.profile(bundle, steps=TICKS, inputs={"x": data.numpy()}, warmup=0)
    operations = {item.name: item for item in profiled.operations.matrices}
    widths = dict(zip(SIZES, [*list(SIZES.values())[1:], OUTPUTS], strict=True))
    for name, values in reads.items():
        assert operations[name].effective == np.count_nonzero(values) * widths[name] / TICKS, name
    assert [operations[name].kind for name in SIZES] == ["MAC", "AC", "MAC", "AC"]
    (field,) = bundle.manifest.layout.inputs
    drawn = {np.float32(float.fromhex(value)) for value, _ in field.values}
    assert (field.draw, drawn) == ("values", {np.float32(0), np.float32(0.3), np.float32(2)})
