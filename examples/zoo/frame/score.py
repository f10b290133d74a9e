"""How well a compiled step does on held-out sequences: from its outputs, each sequence from the initial state."""

from __future__ import annotations

import math

import numpy as np

from astroedge.bundle.container import Bundle
from astroedge.readout import Readout, chosen_class
from astroedge.runtimes import load
from frame.recipe import BITS, Series, Task


def score(bundle: Bundle, held_out: Series, task: Task) -> float:
    """The task's metric: the share of sequences whose class is right, or bits per byte over all texts."""
    with load(bundle) as session:
        name, output = session.spec.inputs[0].name, session.spec.outputs[0].name
        right, nats, ticks = 0, 0.0, 0
        for sequence, label in zip(held_out.inputs, held_out.labels.tolist(), strict=True):
            session.reset()
            given = sequence.numpy()[:, None] if task.metric != BITS else sequence.numpy()[:-1, None]
            scores = session.run(**{name: given})[output].reshape(len(given), -1)
            if task.metric == BITS:
                nats += _surprise(scores, sequence.numpy()[1:])
                ticks += len(given)
            else:
                answer = Readout(task.readout)
                answer.add(scores)
                right += chosen_class(task.readout, answer.result(), answer.ticks) == label
    return nats / math.log(2) / ticks if task.metric == BITS else right / len(held_out.inputs)


def _surprise(scores: np.ndarray, following: np.ndarray) -> float:
    """The sum of −ln of the probabilities that softmax of `scores (T, classes)` gives to what followed."""
    exact = scores.astype(np.float64)
    highest = exact.max(axis=1)
    total = np.log(np.exp(exact - highest[:, None]).sum(axis=1)) + highest
    return float((total - exact[np.arange(len(exact)), following]).sum())
