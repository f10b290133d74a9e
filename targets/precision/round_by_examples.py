"""Which matrices are rounded by the examples that a graph carries, where nearest integers lose more of what they give.

The examples' last quarter judges: integers that the first three quarters led to are kept where the outputs of the
matrix are nearer to what they were on ticks that had no part in them. So examples that say too little do no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from astroedge.step.graph import StepGraph
from astroedge.step.graph_index import GraphIndex
from astroedge.targets.precision.error_feedback import Feedback, feedback_of, round_with_feedback
from astroedge.targets.precision.find_matrices import FoundMatrix
from astroedge.targets.precision.record_inputs import RecordedInputs, record_inputs, ticks_to_record
from astroedge.targets.precision.weight_format import StoredMatrix

MOST_ROWS = 8192
"""The moments of a matrix with more inputs would take gigabytes; it gets the nearest integers."""
JUDGES = 4
"""One of so many examples judges."""
SAID_EVERY = 16  # matrices
TOO_WIDE = f"has more than {MOST_ROWS} inputs, so no examples rounded it"
TOO_LARGE = "too large to be run on the examples that it carries"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Rounding:
    """How a matrix is rounded: its numbers W[rows, columns], made when they are asked for, and the stored form.

    `examples` is how many ticks led to its integers, 0 where they are the nearest; `note` what of that is to be told.
    """

    found: FoundMatrix
    weights: Callable[[], NDArray[np.float32]]
    stored: StoredMatrix
    examples: int = 0
    note: str = ""


def round_by_examples(graph: StepGraph, nearest: Sequence[Rounding], say: Say) -> Mapping[str, Rounding]:
    """What becomes of matrices with nearest integers, by name: only those of which something changes.

    `say` is told of each stage. Raises GraphError where ONNX Runtime cannot step the examples.
    """
    examples = graph.examples
    if not examples:
        return {}
    stored = GraphIndex(graph.model.graph).stored
    open_to = [item for item in nearest if _is_computed(item.found, stored) and _differs(item)]
    fitting = [item for item in open_to if item.found.rows <= MOST_ROWS]
    told = {item.found.name: _noted(item, TOO_WIDE) for item in open_to if item.found.rows > MOST_ROWS}
    if not fitting:
        return told
    matrices = [item.found for item in fitting]
    ticks = ticks_to_record(graph, matrices, len(next(iter(examples.values()))))
    if not ticks:
        say(f"the step is {TOO_LARGE}, which would round weights better")
        return told | {item.found.name: _noted(item, f"the step is {TOO_LARGE}") for item in fitting}
    say(f"stepping {ticks} examples to round {len(fitting)} matrices by what they read")
    recorded = record_inputs(graph, matrices, ticks)
    return told | {item.found.name: item for item in _round_all(fitting, recorded, say)}


def _round_all(nearest: Sequence[Rounding], recorded: RecordedInputs, say: Say) -> Iterator[Rounding]:
    """The matrices that the examples round better; those that read the same share one factorisation."""
    done = 0
    ordered = sorted(nearest, key=lambda item: [read.value for read in item.found.inputs])
    for _, group in groupby(ordered, key=lambda item: (item.found.inputs, item.found.rows)):
        items = list(group)
        inputs = recorded.of(items[0].found)
        learnt = len(inputs) - len(inputs) // JUDGES
        feedback = feedback_of(inputs[:learnt])
        for item in items:
            done += 1
            rounded = None if feedback is None else _rounded(item, feedback, inputs[learnt:], recorded.ticks)
            if rounded is not None:
                yield rounded
        if done == len(nearest) or done % SAID_EVERY < len(items):
            say(f"rounded {done} of {len(nearest)} matrices by the examples")


def _rounded(item: Rounding, feedback: Feedback, judges: NDArray[np.float32], ticks: int) -> Rounding | None:
    """A matrix with integers that the feedback leads to; None where the judges find it no better."""
    weights = item.weights()
    better = round_with_feedback(weights, feedback, item.stored)
    errors = [_output_error(weights, stored, judges) for stored in (better, item.stored)]
    if not errors[0] < errors[1]:
        return None
    return replace(item, stored=better, examples=ticks)


def _output_error(weights: NDArray[np.float32], stored: StoredMatrix, inputs: NDArray[np.float32]) -> float:
    """The sum of the squares of what the outputs of a stored matrix are off by, for some inputs [examples, rows]."""
    return float(np.square(inputs @ (stored.dequantise() - weights), dtype=np.float64).sum())


def _is_computed(found: FoundMatrix, stored: Mapping[str, object]) -> bool:
    """Whether a matrix multiplies, and nothing that is always the same."""
    return bool(found.inputs) and not any(item.value in stored for item in found.inputs)


def _differs(item: Rounding) -> bool:
    """Whether rounding changes the matrix at all: weights that lie on a grid stay as they are."""
    return not np.array_equal(item.stored.dequantise(), item.weights())


def _noted(item: Rounding, note: str) -> Rounding:
    return replace(item, note=note)
