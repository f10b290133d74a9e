"""The reference cells of `astroedge.models` as networks to measure: their papers, and what they read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from astroedge.models import (
    BDH,
    ELM,
    HMMGLM,
    L2MU,
    NALSM,
    RWKV4,
    ALIFNetwork,
    AstroSNNStep,
    CSDPCircuit,
    DelayNetwork,
    DiverseNetwork,
    EGRUNetwork,
    LearntTauRNN,
    MPATHNetwork,
    PLIFNetwork,
    RateRNN,
    RWKV4Config,
    SNUNetwork,
    SpikeGPT,
    load_checkpoint,
)
from benchmarks.networks.published import Draw, Published
from benchmarks.places import CHECKPOINT

EVENTS = 0.10  # of the inputs that are spikes
SIZE = RWKV4Config(width=256, layers=4)


@dataclass(frozen=True)
class Cell:
    """A reference model with random weights, or those that ship: its title, where it was published, the network."""

    title: str
    paper: str
    network: Published


def cell(title: str, paper: str, build: Callable[[], nn.Module], draw: Draw) -> Cell:
    """A cell whose `forward` takes its inputs and the state of `initial_state`."""
    return Cell(title, paper, Published(build, draw, state=_start))


def _start(model: nn.Module, streams: int) -> Sequence[Tensor]:
    found: Sequence[Tensor] = model.initial_state(streams)  # type: ignore[operator]
    return found


def louder(build: Callable[[], nn.Module], factor: float) -> Callable[[], nn.Module]:
    """The model with its matrices `factor` times as large, so that neurons with fresh weights fire at all."""

    def built() -> nn.Module:
        model = build()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 2:
                    parameter.mul_(factor)
        return model

    return built


def spikes(*shape: int, rate: float = EVENTS) -> Draw:
    """Inputs that are 1 at `rate`, anywhere."""
    return lambda generator, streams: ((torch.rand(streams, *shape, generator=generator) < rate).float(),)


def numbers(*shape: int) -> Draw:
    """Inputs from a normal distribution."""
    return lambda generator, streams: (torch.randn(streams, *shape, generator=generator),)


def tokens(vocabulary: int) -> Draw:
    """Tokens, all equally likely."""
    return lambda generator, streams: (torch.randint(0, vocabulary, (streams,), generator=generator),)


def _snu(title: str, paper: str, kind: str) -> Cell:
    return cell(title, paper, louder(lambda: SNUNetwork(kind=kind), 3.0), spikes(32))


def _counts_and_end(generator: torch.Generator, streams: int) -> tuple[Tensor, Tensor]:
    """Counts of five channels' spikes each, of a sample that goes on."""
    counts = (torch.rand(streams, 140, 5, generator=generator) < EVENTS / 5).sum(dim=-1).float()
    return counts, torch.zeros(streams, 1)


ZOO: dict[str, Cell] = {
    "astrosnn": cell("AstroSNN", "2312.07625", lambda: AstroSNNStep(load_checkpoint(CHECKPOINT)), tokens(256)),
    "nalsm": cell("NALSM, 1,000 neurons that learn", "2111.01760", NALSM, spikes(784)),
    "l2mu": cell("L²MU", "2407.04076", louder(L2MU, 1.5), spikes(24)),
    "elm": cell("ELM, version 2", "2306.16922", ELM, spikes(1278)),
    "delays": cell("SNN with delays (DCLS)", "2306.17670", louder(DelayNetwork, 4.0), _counts_and_end),
    "bdh": cell("BDH-GPU", "2509.26507", BDH, tokens(256)),
    "mpath": cell("MPATH", "2104.10851", MPATHNetwork, numbers(784)),
    "snu": _snu("SNU", "1812.07040", "base"),
    "snu-a": cell(
        "SNU, axo-somatic (our reading)", "2110.02743", louder(lambda: SNUNetwork(kind="axo-somatic"), 3.0), spikes(32)
    ),
    "snu-o": cell(
        "SNU, axo-axonic (our reading)", "2110.02743", louder(lambda: SNUNetwork(kind="axo-axonic"), 3.0), spikes(32)
    ),
    "learnt-tau": cell("RNN with learnt τ", "2309.12927", LearntTauRNN, spikes(1, rate=0.5)),
    "rate-rnn": cell("Rate RNN (standard form)", "2005.02211", RateRNN, numbers(1)),
    "csdp": cell("CSDP circuit, inference", "2303.18187", CSDPCircuit, spikes(784)),
    "rwkv4": cell("RWKV-4", "2305.13048", lambda: RWKV4(SIZE), tokens(256)),
    "spikegpt": cell("SpikeGPT", "2302.13939", louder(lambda: SpikeGPT(SIZE), 3.0), tokens(256)),
    "egru": cell("EGRU", "2206.06178", EGRUNetwork, numbers(1)),
    "alif": cell("ALIF", "1803.09574", ALIFNetwork, spikes(700)),
    "plif": cell("PLIF", "2007.05785", louder(PLIFNetwork, 8.0), spikes(784)),
    "diverse": cell("Neural diversity", "2305.15945", DiverseNetwork, numbers(24)),
    "hmm-glm": cell("HMM-GLM filter", "2310.15099", HMMGLM, spikes(32)),
}
