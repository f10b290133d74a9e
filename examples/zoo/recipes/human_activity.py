"""Human activity from a wrist sensor: which of four things somebody does, from accelerometer and gyroscope.

BasicMotions, a smart watch's recordings of 10 seconds at 10 Hz: standing, running, walking, badminton, ten each for
training and ten held out, so that one held-out recording is 2.5 %.

All three networks learn in the same way: AdamW on the cross-entropy of the mean of their outputs, all recordings in
each update, a penalty on spike tensors that fire outside 5 … 15 %. In each update a recording begins at another of its
ticks (its end followed by its beginning), is louder or quieter and noisier. Rates, lengths and sizes were chosen on
three of the ten training recordings of each class, left out in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from frame.baselines import usual_baselines
from frame.recipe import ACCURACY, Progress, Recipe, Series, Task
from frame.ts_files import load_ts
from torch import Tensor, nn

from astroedge.models import ALIFNetwork, AstroSNNSensors, L2MUSensors

SHARPNESS = 5.0  # what the mean output is multiplied by before the softmax: a rate of spikes is at most 1
LOWEST_RATE, HIGHEST_RATE, RATE_WEIGHT = 0.05, 0.15, 20.0
GAIN, NOISE = 0.2, 0.1  # of the logarithm of the loudness; in standard deviations of a channel
RATE, CLIP = 1e-2, 1.0
ENOUGH, MOST_ROUNDS = 0.95, 4  # of the training recordings that are right; rounds of training
GRU_UPDATES = 250  # as many as the longest training here
# Time-major inputs `(T, B, channels)` → outputs `(T, B, classes)` and every spike tensor.
Run = Callable[[nn.Module, Tensor], tuple[Tensor, list[Tensor]]]


@dataclass(frozen=True)
class Training:
    """Updates in a round, and how many ticks of a recording each of them sees.

    A round ends with a learning rate of 0. As long as the network is wrong about too many of the recordings that it is
    trained on, which L²MU can be after a bad start, another round follows.
    """

    run: Run
    updates: int
    window: int

    def __call__(self, model: nn.Module, training: Series, seed: int, progress: Progress) -> None:
        """Train `model` in place; seeds decide on everything that is drawn."""
        x, draw = torch.stack(training.inputs, dim=1), torch.Generator().manual_seed(seed)
        model.standardise.fit(x)  # type: ignore[operator, union-attr]
        for _ in range(MOST_ROUNDS):
            self._round(model.train(), x, training.labels, draw, progress)
            with torch.no_grad():
                outputs, _spikes = self.run(model.eval(), x)
            if (outputs.sum(0).argmax(1) == training.labels).double().mean() >= ENOUGH:
                break

    def _round(self, model: nn.Module, x: Tensor, labels: Tensor, draw: torch.Generator, progress: Progress) -> None:
        optimiser = torch.optim.AdamW(model.parameters(), lr=RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self.updates)
        for update in range(self.updates):
            outputs, spikes = self.run(model, varied(x, draw)[: self.window])
            loss = F.cross_entropy(SHARPNESS * outputs.mean(0), labels)
            optimiser.zero_grad()
            (loss + RATE_WEIGHT * rate_penalty(spikes)).backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimiser.step()
            schedule.step()
            progress((update + 1) / self.updates)


def varied(x: Tensor, draw: torch.Generator) -> Tensor:
    """Recordings `(T, B, channels)`, each begun at another tick, at another loudness and with noise."""
    ticks, batch, _ = x.shape
    starts = torch.randint(ticks, (1, batch), generator=draw)
    order = (torch.arange(ticks)[:, None] + starts) % ticks
    gain = torch.exp(GAIN * torch.randn((1, batch, 1), generator=draw))
    noise = NOISE * x.std((0, 1)) * torch.randn(x.shape, generator=draw)
    return x[order, torch.arange(batch)] * gain + noise


def rate_penalty(spikes: list[Tensor]) -> Tensor:
    """The squared distances of mean firing rates from 5 … 15 %, added up."""
    rates = torch.stack([tensor.mean() for tensor in spikes])
    return (F.relu(rates - HIGHEST_RATE).square() + F.relu(LOWEST_RATE - rates).square()).sum()


def run_l2mu(model: nn.Module, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """L²MU's output spikes, and the spikes of all seven populations."""
    assert isinstance(model, L2MUSensors)
    populations = [*model.neurons.values(), *model.cell.neurons.values()]
    outputs, states = _walk(model, x)
    return outputs, [of.spikes(U) for of, U in zip(populations, states, strict=True)]  # type: ignore[operator]


def run_alif(model: nn.Module, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The readout of ALIF, and the spikes z of its layers."""
    assert isinstance(model, ALIFNetwork)
    outputs, states = _walk(model, x)
    return outputs, states[1:-1:3]


def run_astrosnn(model: nn.Module, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """AstroSNN's scores, and all spikes of its blocks."""
    assert isinstance(model, AstroSNNSensors)
    spikes: dict[str, Tensor] = {}
    scores, _ = model.sequence(x.transpose(0, 1), None, spikes)
    return scores.transpose(0, 1), list(spikes.values())


def _walk(model: L2MUSensors | ALIFNetwork, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Outputs and each state of all ticks, from the initial state on."""
    state = [tensor.to(x) for tensor in model.initial_state(x.shape[1])]
    ticks: list[list[Tensor]] = []
    for tick in x:
        output, *state = model(tick, *state)
        ticks.append([output, *state])
    outputs, *states = (torch.stack(values) for values in zip(*ticks, strict=True))
    return outputs, states


def load() -> tuple[Series, Series]:
    """The training and the held-out recordings, the latter's classes in turn.

    The file has them class by class, and its first two recordings, from which firing rates are measured, would both be
    of somebody who stands.
    """
    training, held_out, classes = load_ts("BasicMotions")
    in_turn = held_out.labels.argsort(stable=True).reshape(len(classes), -1).t().flatten()
    return training, Series([held_out.inputs[index] for index in in_turn], held_out.labels[in_turn])


TASK = Task(
    title="human activity from a wrist sensor",
    data="BasicMotions, aeon 1.6.0: 40 recordings for training, 40 held out (one is 2.5 %)",
    labels=("standing", "running", "walking", "badminton"),
    metric=ACCURACY,
    readout="sum",
    load=load,
    baselines=partial(usual_baselines, updates=GRU_UPDATES, batch=40, rate=RATE),
)

RECIPES = (
    Recipe(
        name="l2mu-har",
        title="L²MU",
        paper="2407.04076",
        confirmed="the cell is read in the authors' code, the populations before it second-hand; sizes, first layer "
        "and training are ours",
        model="L2MUSensors",
        arguments={"population": 6, "encoded": 32, "hidden": 32, "classes": 4, "memory": 16},
        task=TASK,
        train=Training(run_l2mu, updates=120, window=50),
    ),
    Recipe(
        name="astrosnn-har",
        title="AstroSNN",
        paper="2312.07625",
        confirmed="three equations are confirmed, from the authors' overview figure; the rest, reading numbers and the "
        "training are ours",
        model="AstroSNNSensors",
        arguments={"channels": 6, "classes": 4, "width": 48, "heads": 2, "feed_forward": 96, "layers": 1},
        task=TASK,
        train=Training(run_astrosnn, updates=100, window=100),
    ),
    Recipe(
        name="alif-har",
        title="ALIF",
        paper="1803.09574",
        confirmed="neuron, derivative of a spike and constants are published with code; sizes, constant currents and "
        "training are ours",
        model="ALIFNetwork",
        arguments={"widths": [6, 64, 4], "standardise": True},
        task=TASK,
        train=Training(run_alif, updates=250, window=100),
    ),
)
