"""How well a step answers: accuracy, and bits per tick, from the scores that its first output gives to the classes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from astroedge.errors import InputError
from astroedge.readout import Readout, chosen_class
from astroedge.session import Array
from astroedge.step.spec import StepSpec
from astroedge.workflows.evaluation.labelled_data import LabelledData

BLOCK = 1024  # ticks run at a time, fewer where they are large
BLOCK_BYTES = 1 << 24
MOST_BITS = 1023.0  # of a token: 2 to it is still a number


class Stream(Protocol):
    """What is scored: a compiled session, the reference, or a PyTorch model."""

    @property
    def spec(self) -> StepSpec:
        """What a tick takes and gives."""
        ...

    def reset(self) -> None:
        """Go back to the initial state."""
        ...

    def run(self, /, **inputs: Array) -> dict[str, Array]:
        """Many ticks, `(T, …)`."""
        ...


class Tally:
    """How often each class was the label, `counted`, and the answer then too, `right`."""

    def __init__(self, classes: int) -> None:
        self.counted, self.right = np.zeros(classes, np.int64), np.zeros(classes, np.int64)

    def add(self, labels: NDArray[np.int64], answers: NDArray[np.int64]) -> None:
        """Further labels, none negative, with the answer to each."""
        np.add.at(self.counted, labels, 1)
        np.add.at(self.right, labels[labels == answers], 1)


def score(stream: Stream, data: LabelledData, readout: str, tally: Tally | None = None) -> dict[str, float]:
    """What `stream` makes of all sequences, each from the initial state.

    With a label a sequence: `accuracy`, the fraction whose class is right, read out of the first output as `readout`
    says (`astroedge.readout`); of equals the first class is taken, and nothing that fired is no class. With a label a
    tick: `bits per tick` (or byte), the mean −log₂ of the probability that softmax of the first output gives to the
    label, in float64, and for ticks that are no bytes `accuracy` too. Of a text in tokens: `bits per byte`, those of
    all tokens over the bytes of the text, and `perplexity`, 2 to the mean bits of a token. `tally` counts the answers.

    Raises InputError for an output that is no row of scores, labels beyond its classes, and a NaN among the scores.
    """
    classes = count_classes(stream.spec)
    if data.labels.max() >= classes:
        raise InputError(
            f"A label is {data.labels.max()} and the output {stream.spec.outputs[0].name!r} has {classes} classes, "
            "counted from 0; is this the step for these labels?"
        )
    if data.labels.ndim == 1:
        if data.labels.min() < 0:
            raise InputError("A label is negative; every sequence needs its class, counted from 0.")
        return {"accuracy": _classify(stream, data, readout, tally or Tally(classes))}
    if data.labels.max() < 0:
        raise InputError("Every label is negative, so no tick counts; give at least one class, counted from 0.")
    bits, accuracy = _predict(stream, data, tally or Tally(classes))
    if data.unit == "token":
        counted = int((data.labels >= 0).sum())
        return {"bits per byte": bits * counted / data.nbytes, "perplexity": 2.0 ** min(bits, MOST_BITS)}
    return {f"bits per {data.unit}": bits} if data.unit == "byte" else {"bits per tick": bits, "accuracy": accuracy}


def count_classes(spec: StepSpec) -> int:
    """The number of scores in the first output; InputError when it is not one row of at least two."""
    output = spec.outputs[0]
    if max(output.shape, default=1) != output.size or output.size < 2:
        raise InputError(
            f"The first output, {output.name!r}, has shape {list(output.shape)}; eval takes it for the scores of the "
            "classes of one stream: let the model return them first, and compile it for a batch of 1."
        )
    return output.size


def _classify(stream: Stream, data: LabelledData, readout: str, tally: Tally) -> float:
    answers = []
    for index in range(len(data.labels)):
        answer = Readout(readout)
        for _, scores in _scores(stream, data, index):
            answer.add(scores)
        answers.append(chosen_class(readout, answer.result(), answer.ticks))
    tally.add(data.labels, np.array(answers, np.int64))
    return float(tally.right.sum() / len(data.labels))


def _predict(stream: Stream, data: LabelledData, tally: Tally) -> tuple[float, float]:
    """Mean bits and accuracy over all ticks that have a label."""
    nats = 0.0
    for index, labels in enumerate(data.labels):
        for first, scores in _scores(stream, data, index):
            wanted = labels[first : first + len(scores)]
            ticks = np.flatnonzero(wanted >= 0)
            kept, wanted = scores[ticks], wanted[ticks]
            highest = kept.max(axis=1, keepdims=True)
            normaliser = np.log(np.exp(kept - highest).sum(axis=1)) + highest[:, 0]
            nats += float((normaliser - kept[np.arange(len(wanted)), wanted]).sum())
            tally.add(wanted, kept.argmax(axis=1))
    counted = int(tally.counted.sum())
    return nats / math.log(2) / counted, float(tally.right.sum() / counted)


def _scores(stream: Stream, data: LabelledData, index: int) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """The scores of one sequence, block by block: the block's first tick, and (ticks, classes) in float64."""
    stream.reset()
    name, classes = stream.spec.outputs[0].name, count_classes(stream.spec)
    size = sum(array[index, 0].nbytes for array in data.inputs.values()) + 8 * classes
    length = max(1, min(BLOCK, BLOCK_BYTES // max(size, 1)))
    for first in range(0, data.labels.shape[-1] if data.labels.ndim > 1 else _ticks(data), length):
        block = {key: array[index, first : first + length] for key, array in data.inputs.items()}
        scores = np.asarray(stream.run(**block)[name], np.float64).reshape(-1, classes)
        if np.isnan(scores).any():
            raise InputError(f"The scores {name!r} hold a NaN at sequence {index}; does the model overflow?")
        yield first, scores


def _ticks(data: LabelledData) -> int:
    return int(next(iter(data.inputs.values())).shape[1])
