"""Published networks written for the benchmarks: their sizes, and that a frame a tick is the whole sequence."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks.networks.firenet import FireNet
from benchmarks.networks.published import PUBLISHED
from benchmarks.networks.speech import DTLN, GTCRNLike, TemporalBlock


@pytest.mark.parametrize("name", ["DTLN", "GTCRN's parts", "FireNet at 128²"])
def test_a_network_takes_what_is_drawn_for_it(name: str) -> None:
    """One tick of inputs and states gives outputs and the same number of states, of the same shapes."""
    network = PUBLISHED[name]
    model = network.build().eval()
    assert network.state is not None
    state = list(network.state(model, 1))
    inputs = network.draw(torch.Generator().manual_seed(0), 1)
    with torch.inference_mode():
        results = model(*inputs, *state)
    assert [x.shape for x in results[len(results) - len(state) :]] == [x.shape for x in state]


def test_sizes_are_those_of_the_papers() -> None:
    """DTLN has just under a million weights, FireNet seven layers of which two are recurrent."""
    weights = sum(parameter.numel() for parameter in DTLN().parameters())
    assert 0.95e6 < weights < 1.05e6
    assert [layer.rec is not None for layer in FireNet().layers] == [False, True, False, False, True, False, False]  # type: ignore[union-attr]


def test_a_temporal_block_reads_three_frames_that_far_apart() -> None:
    """A frame shows in its own tick and `dilation` and `2 · dilation` ticks later, and in no other."""
    torch.manual_seed(0)
    block = TemporalBlock(8, 3, 5).eval()
    frames = torch.randn(12, 1, 8, 1, 5)
    changed = frames.clone()
    changed[2] += 1.0
    outputs: list[list[Tensor]] = [[], []]
    with torch.inference_mode():
        for given, seen in zip((frames, changed), outputs, strict=True):
            past = torch.zeros(block.past)
            for frame in given:
                y, past, _ = block(frame, past, torch.zeros(1, block.units))
                seen.append(y)
    differs = [tick for tick, (a, b) in enumerate(zip(*outputs, strict=True)) if not torch.equal(a, b)]
    assert differs == [2, 5, 8]


def test_a_gtcrn_like_frame_has_its_bands() -> None:
    """129 bands become 33 and 129 again."""
    model = GTCRNLike().eval()
    assert model.bins == 33
    with torch.inference_mode():
        assert model(torch.randn(1, 9, 1, 129), *model.initial_state())[0].shape == (1, 2, 1, 129)
