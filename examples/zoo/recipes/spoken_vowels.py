"""Who speaks: nine men say two Japanese vowels, 12 cepstral coefficients a tick, 7 to 29 ticks an utterance.

JapaneseVowels of the UEA archive, from the wheel of aeon: 270 utterances to train with, 370 held out. The scores of all
ticks are added up. Sizes, rates and lengths of training were chosen by training on four fifths of the training
utterances and judging on the fifth.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from frame.baselines import usual_baselines
from frame.recipe import ACCURACY, Progress, Recipe, Series, Task
from frame.ts_files import load_ts
from torch import Tensor, nn

from astroedge.models import ELM, DelayStream, LearntDelays
from astroedge.models.learnt_delays import LAST_SIGMA

DATA, SPEAKERS = "JapaneseVowels", tuple(f"speaker {number}" for number in range(1, 10))
BATCH, NOISE, STRETCH = 32, 0.2, 0.2  # utterances; deviations of a feature; share of an utterance's length
SMOOTHING, DECAY, WARM_UP = 0.05, 1e-2, 0.2  # of labels; of weights; share of a training
EPOCHS, RATE, POSITION_RATE, DROPOUT = 80, 5e-3, 0.05, 0.2
NARROWED, SETTLED = 0.5, 0.7  # shares of a training after which σ is at its end, and positions are rounded
QUIETEST, LOUDEST = 0.03, 0.15  # spikes a tick that cost a neuron nothing
ELM_EPOCHS, ELM_RATE = 80, 1e-2

# `x (T, B, 12)` and where its utterances go on, `(T, B)`.
Batch = tuple[Tensor, Tensor]


def load() -> tuple[Series, Series]:
    """The archive's own split."""
    training, held_out, _ = load_ts(DATA)
    return training, held_out


def train_delays(model: nn.Module, training: Series, seed: int, progress: Progress) -> None:
    """Weights, positions and time constants together while σ falls; then the weights alone, with rounded delays."""
    stream = cast(DelayStream, model)
    stream.standardise.fit(torch.cat(training.inputs))
    learnt = LearntDelays(stream.network, DROPOUT)
    positions = [value for name, value in learnt.named_parameters() if name.endswith("position")]
    others = [value for name, value in learnt.named_parameters() if not name.endswith("position")]
    groups = [{"params": others, "lr": RATE}, {"params": positions, "lr": POSITION_RATE, "weight_decay": 0.0}]
    first = float(stream.network.taps // 2)

    def loss(batch: Batch, labels: Tensor, share: float) -> Tensor:
        x, valid = batch
        sigma = max(LAST_SIGMA, first * (LAST_SIGMA / first) ** (share / NARROWED)) if share < SETTLED else None
        y, spikes = learnt(stream.standardise(x) * valid[..., None], valid, sigma)
        return _cross_entropy(y, valid, labels) + sum((_off_rate(fired[valid]) for fired in spikes), torch.zeros(()))

    _fit(learnt, groups, training, (EPOCHS, seed), loss, progress)
    learnt.settle(stream.network)


def train_elm(model: nn.Module, training: Series, seed: int, progress: Progress) -> None:
    """Backpropagation through time, memories' time constants included."""
    elm = cast(ELM, model)
    assert elm.standardise is not None
    elm.standardise.fit(torch.cat(training.inputs))

    def loss(batch: Batch, labels: Tensor, share: float) -> Tensor:
        x, valid = batch
        state, outputs = elm.initial_state(len(labels)), []
        for tick in x:
            y, *state = elm(tick, *state)
            outputs.append(y)
        return _cross_entropy(torch.stack(outputs), valid, labels)

    groups = [{"params": list(elm.parameters()), "lr": ELM_RATE}]
    _fit(elm, groups, training, (ELM_EPOCHS, seed), loss, progress)


def _fit(
    model: nn.Module,
    groups: list[dict[str, object]],
    training: Series,
    plan: tuple[int, int],
    loss: Callable[[Batch, Tensor, float], Tensor],
    progress: Progress,
) -> None:
    """AdamW for the epochs and with the seed of `plan`, rates rising and falling once; `loss` learns the share done."""
    epochs, seed = plan
    optimiser = torch.optim.AdamW(groups, weight_decay=DECAY)
    updates = epochs * math.ceil(len(training.inputs) / BATCH)
    rates = [cast(float, group["lr"]) for group in groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=updates, pct_start=WARM_UP)
    spread, drawn = torch.cat(training.inputs).std(0), torch.Generator().manual_seed(seed)
    model.train()
    for epoch in range(epochs):
        for chosen in torch.randperm(len(training.inputs), generator=drawn).split(BATCH):
            heard = [_varied(training.inputs[index], spread, drawn) for index in chosen.tolist()]
            optimiser.zero_grad()
            loss(_padded(heard), training.labels[chosen], epoch / epochs).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
        progress((epoch + 1) / epochs)
    model.eval()


def _cross_entropy(y: Tensor, valid: Tensor, labels: Tensor) -> Tensor:
    """Of the mean score of each utterance, `y (T, B, 9)`."""
    scores = (y * valid[..., None]).sum(0) / valid.sum(0)[:, None]
    return F.cross_entropy(scores, labels, label_smoothing=SMOOTHING)


def _off_rate(fired: Tensor) -> Tensor:
    """What it costs that neurons, `fired (ticks, N)`, are louder than LOUDEST or quieter than QUIETEST."""
    rate = fired.mean(0)
    over, under = (rate - LOUDEST).clamp(min=0), (QUIETEST - rate).clamp(min=0)
    return 10 * (over.square().mean() + under.square().mean())


def _varied(x: Tensor, spread: Tensor, drawn: torch.Generator) -> Tensor:
    """An utterance `(T, 12)` spoken faster or slower, with another tilt and with noise, both of NOISE · `spread`."""
    longer = 1 + STRETCH * (2 * torch.rand((), generator=drawn).item() - 1)
    ticks = max(5, round(len(x) * longer))
    x = F.interpolate(x.t()[None], size=ticks, mode="linear", align_corners=True)[0].t()
    noise = torch.randn((ticks + 1, x.shape[1]), generator=drawn)
    return x + NOISE * spread * (noise[1:] + noise[0])


def _padded(utterances: list[Tensor]) -> Batch:
    """One tensor `(T, B, 12)`, zero behind each end, and where each goes on, `(T, B)`."""
    lengths = torch.tensor([len(x) for x in utterances])
    x = nn.utils.rnn.pad_sequence(utterances)
    return x, torch.arange(len(x))[:, None] < lengths


def _baselines(training: Series, held_out: Series, weights: int) -> dict[str, float]:
    updates = ELM_EPOCHS * math.ceil(len(training.inputs) / BATCH)
    return usual_baselines(training, held_out, weights, updates, BATCH, ELM_RATE)


TASK = Task("who speaks a vowel", f"{DATA}, aeon 1.6.0", SPEAKERS, ACCURACY, "sum", load, _baselines)
RECIPES = (
    Recipe(
        name="delays-vowels",
        title="SNN with learnt delays (DCLS)",
        paper="2306.17670",
        confirmed="Neuron, delays and their training are those of the authors' code; learning τ, the last epochs with "
        "rounded delays, sizes and this task are ours.",
        model="DelayStream",
        arguments={"widths": [12, 64, 64, 9], "taps": 9, "tau": 2.0},
        task=TASK,
        train=train_delays,
    ),
    Recipe(
        name="elm-vowels",
        title="ELM neuron, version 2",
        paper="2306.16922",
        confirmed="The neuron is that of the authors' code, with one input a branch; sizes and this task are ours.",
        model="ELM",
        arguments={
            "inputs": 12,
            "outputs": 9,
            "memories": 50,
            "branches": 12,
            "synapses": 1,
            "tau_s": 2.0,
            "tau_m": [1.0, 30.0],
            "learn_tau": True,
            "standardise": True,
        },
        task=TASK,
        train=train_elm,
    ),
)
