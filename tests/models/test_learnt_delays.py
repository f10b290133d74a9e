"""Delays that learn: the form in training beside the step it becomes, and what moves a position."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from astroedge.errors import InputError
from astroedge.models import DelayNetwork, DelayStream, LearntDelays
from tests.support.stepping import walk

WIDTHS, TAPS, TICKS, STREAMS = (6, 20, 16, 4), 7, 24, 3


def learnt() -> tuple[DelayStream, LearntDelays]:
    """A stream and its training form in double precision, positions between ticks, and a normalisation that acts."""
    torch.manual_seed(3)
    stream = DelayStream(WIDTHS, TAPS, 2.0).double()
    form = LearntDelays(stream.network).double().eval()
    with torch.no_grad():
        for layer in form.layers:
            layer.position += 0.8 * (torch.rand_like(layer.position) - 0.5)
            layer.weight *= 6
            for values in (layer.norm.weight, layer.norm.bias, layer.norm.running_mean, layer.norm.running_var):
                values += 0.3 * torch.rand_like(values)
        for leak in form.leaks:
            leak += torch.linspace(-1, 1, len(leak))
    return stream, form


def features() -> tuple[Tensor, Tensor]:
    """Sequences `(T, B, inputs)` of 24, 17 and 9 ticks, and where they go on."""
    x = 2 * torch.randn((TICKS, STREAMS, WIDTHS[0]), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    valid = torch.arange(TICKS)[:, None] < torch.tensor([24, 17, 9])
    return x * valid[..., None], valid


def test_settled_it_is_the_step() -> None:
    """With rounded positions, sequences of several lengths give the outputs of the step that was settled from it."""
    stream, form = learnt()
    x, valid = features()
    with torch.no_grad():
        y, spikes = form(x, valid, None)
    form.settle(stream.network)
    stepped = np.stack([output for output, *_ in walk(stream.eval(), [x], torch.float64)])
    np.testing.assert_allclose(stepped[valid], y[valid].numpy(), atol=1e-6)
    assert [0.05 < fired[valid].mean() < 0.6 for fired in spikes] == [True, True]


def test_taps_draw_together_as_sigma_falls() -> None:
    """The taps of a synapse share its weight; on a whole position and at width 0.27, one has 99.8 % of it."""
    layer = LearntDelays(DelayNetwork(WIDTHS, TAPS, 2.0)).layers[1]
    with torch.no_grad():
        wide, narrow, one = (layer.kernel(sigma) for sigma in (3.0, 0.0, None))
    for kernel in (wide, narrow, one):
        torch.testing.assert_close(kernel.sum(-1), layer.weight.detach(), rtol=1e-5, atol=1e-7)
    share = (narrow / layer.weight.detach()[..., None])[one != 0]
    assert share.min() > 0.997
    assert (wide / layer.weight.detach()[..., None]).max() < 0.4


def test_positions_learn_until_they_are_rounded() -> None:
    """Through spikes every parameter has a derivative while σ is a number, and none moves a rounded position."""
    _, form = learnt()
    x, valid = features()
    form.train()(x, valid, 1.0)[0].square().sum().backward()
    missing = [name for name, value in form.named_parameters() if value.grad is None or not value.grad.any()]
    assert missing == []
    form.zero_grad()
    form(x, valid, None)[0].square().sum().backward()
    assert all(layer.position.grad is None for layer in form.layers)


def test_a_stream_reads_raw_numbers() -> None:
    """A stream gives for raw numbers what its network gives for standardised ones, for ever without a tail."""
    stream, form = learnt()
    form.settle(stream.network)
    x, _ = features()
    stream.standardise.fit(x)
    with torch.no_grad():
        given = (stream.standardise(x), torch.zeros(TICKS, STREAMS, 1, dtype=torch.float64))
    for own, inner in zip(
        walk(stream.eval(), [x], torch.float64), walk(stream.network, given, torch.float64), strict=True
    ):
        for value, expected in zip(own, inner, strict=True):
            np.testing.assert_array_equal(value, expected)


def test_membranes_without_memory_are_refused() -> None:
    """A decay of 0 has no finite leak to learn: InputError."""
    with pytest.raises(InputError, match="tau above 1"):
        LearntDelays(DelayNetwork(WIDTHS, TAPS, 1.0))
