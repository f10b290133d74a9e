"""The protocol of a recipe: a task, and a network that learns it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

Progress = Callable[[float], None]
BITS, ACCURACY = "bits per byte", "accuracy"
EVERY_TICK = "tick"  # the readout of a language model


@dataclass(frozen=True)
class Series:
    """Sequences, `(T, features)` float32 or `(T,)` tokens in int64, T of each its own; and `labels (N,)`, int64.

    Of a language model each sequence is a text, whose labels are its own next tokens; `labels` are zeros.
    """

    inputs: list[Tensor]
    labels: Tensor


@dataclass(frozen=True)
class Task:
    """What is to be learnt.

    `labels` are the classes' names, `metric` is ACCURACY or BITS, `readout` one of `astroedge.readout.READOUTS`, or
    EVERY_TICK with BITS. `load` gives the training and the held-out sequences; `baselines`, called with both and the
    number of weights of the network, what other means reach on the held-out ones, by name.
    """

    title: str
    data: str
    labels: tuple[str, ...]
    metric: str
    readout: str
    load: Callable[[], tuple[Series, Series]]
    baselines: Callable[[Series, Series, int], dict[str, float]]


@dataclass(frozen=True)
class Recipe:
    """How a network of the zoo comes about.

    `model` and `arguments` are those of `astroedge.models.build_model`; `train(model, training, seed, progress)` trains
    the step module in place, on one thread, and tells how far it is, from 0 to 1. It makes its choices on training data
    alone. `confirmed` says in a sentence what of the model is published and what is ours.
    """

    name: str
    title: str
    paper: str
    confirmed: str
    model: str
    arguments: Mapping[str, Any]
    task: Task
    train: Callable[[nn.Module, Series, int, Progress], None]
