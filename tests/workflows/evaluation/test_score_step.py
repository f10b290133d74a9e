"""Accuracy and bits, worked out by hand on a step whose scores are its inputs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from astroedge.errors import InputError
from astroedge.session import Array
from astroedge.step.spec import StepSpec, TensorSpec
from astroedge.workflows.evaluation.labelled_data import LabelledData
from astroedge.workflows.evaluation.score_step import BLOCK, count_classes, score


class RunningSum:
    """Gives the sum of its inputs since the last reset: a step with state, of three scores."""

    def __init__(self, shape: tuple[int, ...] = (1, 3)) -> None:
        self.spec = StepSpec((TensorSpec("x", shape, "float32"),), (TensorSpec("y", shape, "float32"),), ())
        self.reset()

    def reset(self) -> None:
        """Forget."""
        self.total = np.zeros(self.spec.inputs[0].shape, np.float32)

    def run(self, /, **inputs: Array) -> dict[str, Array]:
        """The running sum at every tick."""
        sums = self.total + np.cumsum(inputs["x"], axis=0)
        self.total = sums[-1]
        return {"y": sums}


def labelled(x: object, labels: object, unit: str = "tick") -> LabelledData:
    """Sequences of three numbers a tick."""
    array = np.asarray(x, np.float32)
    return LabelledData({"x": array.reshape(*array.shape[:2], 1, 3)}, np.asarray(labels, np.int64), unit)


def test_a_sequence_is_read_from_the_sum_or_the_last_tick() -> None:
    """Scores 2 0 0, then 3 0 4: the sum says class 0 (5 to 4), the last tick class 2. Each sequence starts afresh."""
    x = [[[2, 0, 0], [1, 0, 4]]] * 2
    assert score(RunningSum(), labelled(x, [0, 2], "sequence"), "sum") == {"accuracy": 0.5}
    assert score(RunningSum(), labelled(x, [0, 0], "sequence"), "sum") == {"accuracy": 1.0}
    assert score(RunningSum(), labelled(x, [2, 2], "sequence"), "last") == {"accuracy": 1.0}


def test_of_equal_scores_the_first_class_is_taken() -> None:
    """A silent network answers class 0."""
    assert score(RunningSum(), labelled(np.zeros((1, 4, 3)), [0], "sequence"), "sum") == {"accuracy": 1.0}


def test_bits_are_those_of_softmax_and_negative_labels_do_not_count() -> None:
    """Scores ln 2, 0, 0 give ½, ¼, ¼: one bit, then two; the third tick has no label."""
    x = [[[np.log(2), 0, 0], [0, 0, 0], [0, 9, 0]]]
    found = score(RunningSum(), labelled(x, [[0, 1, -1]]), "sum")
    assert found["bits per tick"] == pytest.approx(1.5)
    assert found["accuracy"] == 0.5


def test_a_text_is_measured_in_bits_per_byte_alone() -> None:
    """Even with scores so large that their exponentials overflow."""
    x: NDArray[np.float64] = np.zeros((1, 2, 3))
    x[0, 0] = 5000, 5000, -5000
    assert score(RunningSum(), labelled(x, [[0, 1]], "byte"), "sum") == {"bits per byte": pytest.approx(1.0)}


def test_long_sequences_go_on_where_the_last_block_ended() -> None:
    """More ticks than are run at a time: the state is kept, and every tick is counted once."""
    ticks = 2 * BLOCK + 5
    x = np.zeros((1, ticks, 3))
    x[0, BLOCK + 1] = 0, 0, 1
    labels = np.where(np.arange(ticks) < BLOCK + 1, 0, 2)[None]
    assert score(RunningSum(), labelled(x, labels), "sum")["accuracy"] == 1.0
    assert score(RunningSum(), labelled(x, [2], "sequence"), "last")["accuracy"] == 1.0


@pytest.mark.parametrize("labels", [[[0, 3]], [[-1, -1]], [3], [-1]])
def test_labels_beyond_the_classes_are_refused(labels: object) -> None:
    """Class 3 of three, a sequence without a class, and data of which nothing counts."""
    with pytest.raises(InputError, match=r"label"):
        score(RunningSum(), labelled(np.zeros((1, 2, 3)), labels), "sum")


def test_a_nan_is_no_score() -> None:
    """A network that overflows is not scored."""
    x = np.zeros((1, 2, 3))
    x[0, 1, 1] = np.nan
    with pytest.raises(InputError, match="NaN at sequence 0"):
        score(RunningSum(), labelled(x, [[0, 1]]), "sum")


@pytest.mark.parametrize("shape", [(2, 3), (1,), ()])
def test_only_one_row_of_scores_can_be_read(shape: tuple[int, ...]) -> None:
    """A batch of two has no one class, and one number no classes."""
    with pytest.raises(InputError, match="first output, 'y'"):
        count_classes(RunningSum(shape).spec)
    assert count_classes(RunningSum((1, 1, 7)).spec) == 7
