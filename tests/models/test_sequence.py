"""Training forms: whole sequences give what the step gives tick by tick, state and derivatives included."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from astroedge.models import BDH, RWKV4, BDHConfig, EGRULanguageModel, LearntTauRNN, RWKV4Config, SpikeGPT

TOKENS, TICKS, CUT = 50, 90, 70  # the cut leaves a part longer than a chunk of `wkv_scan`, and a rest

LANGUAGE_MODELS: dict[str, Callable[[], nn.Module]] = {
    "BDH": lambda: BDH(BDHConfig(vocabulary=TOKENS, width=24, heads=2, neurons=32, layers=2)),
    "RWKV4": lambda: RWKV4(RWKV4Config(TOKENS, 24, 2)),
    "SpikeGPT": lambda: SpikeGPT(RWKV4Config(TOKENS, 24, 2)),
    "EGRULanguageModel": lambda: EGRULanguageModel((10, 20, 24), TOKENS),
}


def made(build: Callable[[], nn.Module]) -> nn.Module:
    """A model in training, in float64 so that only a wrong sum differs, with weights that make it fire."""
    torch.manual_seed(0)
    model = build().double().train()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter *= 3
    return model


def assert_same_derivatives(model: nn.Module, first: Tensor, second: Tensor) -> None:
    """Both outputs have the same values and the same derivatives of their square."""
    torch.testing.assert_close(first, second)
    parameters = list(model.parameters())
    ours, theirs = (torch.autograd.grad(output.square().sum(), parameters) for output in (first, second))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_a_sequence_is_its_ticks(name: str) -> None:
    """Logits, last state and derivatives of three streams read in two pieces are those of the step in training."""
    model = made(LANGUAGE_MODELS[name])
    tokens = torch.randint(TOKENS, (3, TICKS), generator=torch.Generator().manual_seed(1))
    state = [tensor.double() for tensor in model.initial_state(3)]  # type: ignore[operator]
    first, between = model.sequence(tokens[:, :CUT], state)  # type: ignore[operator]
    second, last = model.sequence(tokens[:, CUT:], between)  # type: ignore[operator]
    walked = []
    for tick in tokens.t():
        logits, *state = model(tick, *state)
        walked.append(logits)
    torch.testing.assert_close(list(last), state)
    assert_same_derivatives(model, torch.cat((first, second), 1), torch.stack(walked, 1))


@pytest.mark.parametrize("name", ["SpikeGPT", "EGRULanguageModel"])
def test_a_sequence_notes_its_spikes(name: str) -> None:
    """Every layer's spikes are 0 or 1, neither always, and carry derivatives to penalise."""
    model, spikes = made(LANGUAGE_MODELS[name]), dict[str, Tensor]()
    state = [tensor.double() for tensor in model.initial_state(3)]  # type: ignore[operator]
    model.sequence(torch.arange(30).reshape(3, 10), state, spikes)  # type: ignore[operator]
    assert len(spikes) == {"SpikeGPT": 4, "EGRULanguageModel": 2}[name]
    for tensor in spikes.values():
        assert tensor.unique().tolist() == [0, 1]
        assert tensor.requires_grad


@pytest.mark.parametrize("outside", [False, True])
def test_the_learnt_tau_network_reads_whole_sequences(outside: bool) -> None:
    """All scores of a sequence of bits, the last h and the derivatives are those of the ticks, in both forms."""
    model = made(lambda: LearntTauRNN(1, 30, 3, outside=outside))
    bits = torch.randint(2, (20, 4, 1), generator=torch.Generator().manual_seed(1)).double()
    h = torch.rand(4, 30, generator=torch.Generator().manual_seed(2)).double()
    scores, last = model.sequence(bits, h)  # type: ignore[operator]
    walked = []
    for tick in bits:
        found, h = model(tick, h)
        walked.append(found)
    torch.testing.assert_close(last, h)
    assert_same_derivatives(model, scores, torch.stack(walked))
