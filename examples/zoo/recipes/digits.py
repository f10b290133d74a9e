"""Handwritten digits: scikit-learn's 1,797 images of 8 × 8 pixels from 0 to 16, 500 of them held out.

Which ones are held out is drawn once, with seed 0. EGRU reads an image a row a tick, NALSM looks at all of it for 64
ticks. Sizes, rates and lengths were chosen with the first 1,000 of the training images and judged on their other 297.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from frame.baselines import nearest_by_warping, usual_baselines
from frame.recipe import ACCURACY, Progress, Recipe, Series, Task
from torch import Tensor, nn

import astroedge
from astroedge.models import NALSM, EGRUNetwork, NALSMClassifier
from astroedge.models.egru_network import EGRU

HELD_OUT, SPLIT_SEED, SIDE, WHITE = 500, 0, 8, 16.0
DATA, CLASSES = "digits, scikit-learn 1.9.1", tuple(str(digit) for digit in range(10))

BATCH, EPOCHS, RATE, DECAY, SMOOTHING = 64, 60, 1e-2, 1e-2, 0.05
QUIETEST, LOUDEST, RATE_COST = 0.02, 0.12, 0.1  # events a tick that cost a unit nothing; what others cost
LONGEST = 8.0  # ticks: at first, units forget in 1 to this many

PRESENTATION = 64  # ticks of an image for NALSM
# A white pixel drives its neuron by 6 a tick: it fires about every fourth tick.
GAIN = 6.0 / 100 / WHITE
FIRST_IMAGES, FIRST_TICKS = 5000, 20  # of the run that gives the reservoir its weights
READOUT_EPOCHS, READOUT_RATE, READOUT_COST = 300, 0.05, 1e-3


def load_rows() -> tuple[Series, Series]:
    """Images as 8 ticks of a row each."""
    return _split(lambda image: image)


def load_presentations() -> tuple[Series, Series]:
    """Images as 64 ticks that are all the whole image."""
    return _split(lambda image: image.flatten().repeat(PRESENTATION, 1))


def train_egru(model: nn.Module, training: Series, seed: int, progress: Progress) -> None:
    """Backpropagation through time; units that are too loud or too quiet cost something."""
    network = cast(EGRUNetwork, model).train()
    layer, units = cast(EGRU, network.layers[0]), network.widths[1]
    with torch.no_grad():  # biases of the gate z that spread how long units remember
        layer.W.bias[:units] = torch.rand(units) * math.log(LONGEST)
    images, labels = torch.stack(training.inputs) / WHITE, training.labels
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=DECAY)
    updates = EPOCHS * math.ceil(len(images) / BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=updates, pct_start=0.2)
    drawn = torch.Generator().manual_seed(seed)
    for epoch in range(EPOCHS):
        for chosen in torch.randperm(len(images), generator=drawn).split(BATCH):
            scores, events = _read(network, images[chosen].transpose(0, 1))
            rates = events.mean((0, 1))
            over, under = (rates - LOUDEST).clamp(min=0), (QUIETEST - rates).clamp(min=0)
            cost = RATE_COST * (over.square().sum() + under.square().sum())
            optimiser.zero_grad()
            (F.cross_entropy(scores, labels[chosen], label_smoothing=SMOOTHING) + cost).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
        progress((epoch + 1) / EPOCHS)
    with torch.no_grad():  # the step reads pixels as they are; to divide by 16 is exact
        layer.W.weight /= WHITE
    network.eval()


def _read(network: EGRUNetwork, ticks: Tensor) -> tuple[Tensor, Tensor]:
    """The readout after the last of `ticks (T, B, inputs)`, and all events `(T, B, units)`."""
    c, y, o = network.initial_state(ticks.shape[1])
    sent, events, _, _ = cast(EGRU, network.layers[0]).sequence(ticks, c, y)
    for given in network.readout(sent):
        o = 0.9 * o + 0.1 * given
    return o, events


def train_nalsm(model: nn.Module, training: Series, seed: int, progress: Progress) -> None:
    """The reservoir's weights by its own rule, then a softmax regression on its counts of spikes."""
    network = cast(NALSMClassifier, model).eval()
    reservoir = network.reservoir
    images = torch.stack([x[0] for x in training.inputs])
    reservoir.weight.copy_(_first_weights(reservoir, images, seed).half())
    progress(0.3)
    counts = _counts(reservoir, training.inputs)
    progress(0.9)
    weight = _readout(counts, training.labels)
    with torch.no_grad():
        network.readout.weight.copy_(weight)
    progress(1.0)


def _first_weights(reservoir: NALSM, images: Tensor, seed: int) -> Tensor:
    """What W comes to in a stream of images, 20 ticks each, while the constants do not decay."""
    drawn = torch.Generator().manual_seed(seed)
    chosen = torch.randint(len(images), (FIRST_IMAGES,), generator=drawn)
    ticks = (GAIN * images[chosen]).repeat_interleave(FIRST_TICKS, dim=0)
    decay, reservoir.rate_decay = reservoir.rate_decay, 1.0
    with astroedge.load(astroedge.compile(_reservoir_step(reservoir, ticks))) as session:
        session.run(x=ticks[:, None].numpy())
        weights = torch.from_numpy(session.states["W"][0].copy())
    reservoir.rate_decay = decay
    return weights


def _counts(reservoir: NALSM, presentations: list[Tensor]) -> Tensor:
    """How often each neuron fires in each presentation, `(N, neurons)`."""
    counts = []
    with astroedge.load(astroedge.compile(_reservoir_step(reservoir, GAIN * presentations[0]))) as session:
        for x in presentations:
            session.reset()
            spikes = session.run(x=(GAIN * x)[:, None].numpy())["spikes"]
            counts.append(torch.from_numpy(spikes.sum((0, 1))))
    return torch.stack(counts)


def _reservoir_step(reservoir: NALSM, ticks: Tensor) -> astroedge.StepGraph:
    """The reservoir alone as a step: thousands of images take seconds as a bundle, and minutes in PyTorch."""
    examples = [(tick[None],) for tick in ticks[:PRESENTATION]]
    return astroedge.export(reservoir, examples[0], tuple(reservoir.initial_state(1)), examples=examples)


def _readout(counts: Tensor, labels: Tensor) -> Tensor:
    """Weights `(classes, neurons)` that read counts, from a regression on the shares that neurons have in all spikes.

    Scores of shares, W (c / Σc − mean) / deviation + b, are those of counts times Σc with the bias in every weight, and
    a factor moves no highest score.
    """
    shares = counts / counts.sum(1, keepdim=True).clamp(min=1)
    mean, deviation = shares.mean(0), shares.std(0) + 1e-4
    given = (shares - mean) / deviation
    linear = nn.Linear(counts.shape[1], len(CLASSES))
    nn.init.zeros_(linear.weight)
    optimiser = torch.optim.AdamW(linear.parameters(), READOUT_RATE, weight_decay=1e-4)
    for _ in range(READOUT_EPOCHS):
        optimiser.zero_grad()
        cost = READOUT_COST * linear.weight.square().sum()
        (F.cross_entropy(linear(given), labels) + cost).backward()
        optimiser.step()
    weight = linear.weight.detach() / deviation
    return weight + (linear.bias.detach() - weight @ mean)[:, None]


def _split(shaped: Callable[[Tensor], Tensor]) -> tuple[Series, Series]:
    """Training and held-out images `(8, 8)`, each `shaped` into ticks."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images).float()
    labels = torch.from_numpy(digits.target).long()
    order = torch.from_numpy(np.random.default_rng(SPLIT_SEED).permutation(len(images)))
    training, held_out = (
        Series([shaped(images[index]) for index in part.tolist()], labels[part])
        for part in (order[:-HELD_OUT], order[-HELD_OUT:])
    )
    return training, held_out


def _baselines_of_rows(training: Series, held_out: Series, weights: int) -> dict[str, float]:
    updates = EPOCHS * math.ceil(len(training.inputs) / BATCH)
    found = usual_baselines(training, held_out, weights, updates, BATCH, RATE)
    return {**found, "logistic regression on pixels": _regression_on_pixels(training, held_out)}


def _baselines_of_images(training: Series, held_out: Series, weights: int) -> dict[str, float]:
    """Of single images: warping has one tick to warp, so that its distance is that of pixels."""
    seen, asked = (Series([x[:1] for x in series.inputs], series.labels) for series in (training, held_out))
    return {
        "1-NN on pixels": nearest_by_warping(seen, asked),
        "logistic regression on pixels": _regression_on_pixels(seen, asked),
    }


def _regression_on_pixels(training: Series, held_out: Series) -> float:
    """Logistic regression on all pixels of an image, from 0 to 1, with scikit-learn's own settings."""
    from sklearn.linear_model import LogisticRegression

    seen, asked = (torch.stack([x.flatten() for x in series.inputs]) / WHITE for series in (training, held_out))
    model: Any = LogisticRegression(max_iter=10_000).fit(seen.numpy(), training.labels.numpy())
    return float(model.score(asked.numpy(), held_out.labels.numpy()))


ROWS = Task("handwritten digits, a row a tick", DATA, CLASSES, ACCURACY, "last", load_rows, _baselines_of_rows)
IMAGES = Task(
    f"handwritten digits, an image for {PRESENTATION} ticks",
    DATA,
    CLASSES,
    ACCURACY,
    "last",
    load_presentations,
    _baselines_of_images,
)
RECIPES = (
    Recipe(
        name="nalsm-digits",
        title="NALSM, 200 neurons that learn",
        paper="2111.01760",
        confirmed="Reservoir, astrocyte and readout are those of the authors' code; inputs are currents in place of "
        "Bernoulli spikes, and sizes and this task are ours.",
        model="NALSMClassifier",
        arguments={"inputs": SIDE * SIDE, "classes": 10, "grid": [5, 5, 8], "gain": GAIN},
        task=IMAGES,
        train=train_nalsm,
    ),
    Recipe(
        name="egru-digits",
        title="EGRU",
        paper="2206.06178",
        confirmed="The unit is that of the authors' code; readout, surrogate derivative, penalty on events, size and "
        "this task are ours.",
        model="EGRUNetwork",
        arguments={"widths": [SIDE, 96, 10]},
        task=ROWS,
        train=train_egru,
    ),
)
