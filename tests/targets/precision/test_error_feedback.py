"""Rounding with feedback loses less of what a matrix gives for the inputs that it was shown."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from astroedge.targets.precision.error_feedback import feedback_of, round_with_feedback
from astroedge.targets.precision.short_scales import short_scales
from astroedge.targets.precision.storage import INT4
from astroedge.targets.precision.weight_format import StoredMatrix, store

Floats = NDArray[np.float32]


def correlated(rng: np.random.Generator, examples: int, rows: int, *, spikes: bool = False) -> Floats:
    """Inputs that a few hidden causes share; as spikes, where they are large."""
    mixed = rng.normal(size=(examples, 1 + rows // 4)) @ rng.normal(size=(1 + rows // 4, rows))
    noisy = mixed + 0.3 * rng.normal(size=(examples, rows))
    return (noisy > 0.5 if spikes else noisy).astype(np.float32)


def rounded(weights: Floats, inputs: Floats) -> StoredMatrix:
    """The matrix as the inputs lead to."""
    feedback = feedback_of(inputs)
    assert feedback is not None
    return round_with_feedback(weights, feedback, store(weights, INT4))


def error(stored: StoredMatrix, weights: Floats, inputs: Floats) -> float:
    """The sum of squares of what the outputs are off by."""
    return float(np.square(inputs.astype(np.float64) @ (stored.dequantise() - weights.astype(np.float64))).sum())


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(32, 150),
    columns=st.integers(4, 9),
    examples=st.integers(200, 400),
    spikes=st.booleans(),
)
def test_the_outputs_are_no_further_off_than_with_nearest_integers(
    seed: int, rows: int, columns: int, examples: int, spikes: bool
) -> None:
    """‖X(W − Ŵ)‖² over the inputs that were shown is not above that of nearest integers, whatever they share."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(rows, columns)).astype(np.float32)
    inputs = correlated(rng, examples, rows, spikes=spikes)
    by_inputs = error(rounded(weights, inputs), weights, inputs)
    assert by_inputs <= 1.02 * error(store(weights, INT4), weights, inputs)


@pytest.mark.parametrize("spikes", [False, True], ids=["graded", "spikes"])
def test_correlated_inputs_are_rounded_for(spikes: bool) -> None:
    """Half of the error goes where inputs tell much of each other, also on inputs of the same kind not shown."""
    rng = np.random.default_rng(1)
    weights, inputs = rng.normal(size=(192, 60)).astype(np.float32), correlated(rng, 4000, 192, spikes=spikes)
    shown, others = inputs[:2000], inputs[2000:]
    assert error(rounded(weights, shown), weights, others) < 0.5 * error(store(weights, INT4), weights, others)


def test_independent_inputs_give_nearest_integers() -> None:
    """Where no input tells anything of another and all are alike, nothing can be made up for."""
    weights = np.random.default_rng(2).normal(size=(150, 20)).astype(np.float32)
    alike, nearest = rounded(weights, np.eye(150, dtype=np.float32)), store(weights, INT4)
    np.testing.assert_array_equal(alike.values, nearest.values)
    np.testing.assert_array_equal(alike.scales, nearest.scales)


def test_fewer_examples_than_inputs_are_enough_to_round() -> None:
    """Moments without full rank are damped: the error falls on what was shown, and stays bounded on all else."""
    rng = np.random.default_rng(3)
    weights, inputs = rng.normal(size=(256, 30)).astype(np.float32), correlated(rng, 280, 256)
    stored, nearest = rounded(weights, inputs[:20]), store(weights, INT4)
    assert error(stored, weights, inputs[:20]) < 0.5 * error(nearest, weights, inputs[:20])
    assert error(stored, weights, inputs[20:]) < 1.5 * error(nearest, weights, inputs[20:])


def test_inputs_that_never_fire_are_rounded_to_the_nearest() -> None:
    """A silent row takes part in no error; where all are silent there is no feedback at all."""
    rng = np.random.default_rng(4)
    weights, inputs = rng.normal(size=(64, 10)).astype(np.float32), correlated(rng, 300, 64)
    inputs[:, 40:50] = 0
    stored = rounded(weights, inputs)
    assert stored.scales is not None
    off = np.abs(stored.dequantise() - weights)[40:50]
    inside = (stored.values[40:50] > INT4.lowest) & (stored.values[40:50] < INT4.largest)
    assert np.all(off[inside] <= 0.5001 * np.broadcast_to(np.abs(stored.scales), off.shape)[inside])
    assert feedback_of(np.zeros((300, 64), np.float32)) is None


def test_weights_on_a_grid_stay_as_they_are() -> None:
    """Whole columns, and groups of a column whose other weights lie on no grid, with all bits of their scale."""
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(130, 8)).astype(np.float32)
    scale = np.float32(0.123456789)
    weights[:, :3] = rng.integers(-8, 8, (130, 3)) * scale
    weights[64:128, 3:5] = rng.integers(-8, 8, (64, 2)) * scale
    stored = rounded(weights, correlated(rng, 400, 130)).dequantise()
    np.testing.assert_array_equal(stored[:, :3], weights[:, :3])
    np.testing.assert_array_equal(stored[64:128, 3:5], weights[64:128, 3:5])
    assert not np.array_equal(stored, weights)


def test_what_was_rounded_is_stored_as_it_is() -> None:
    """Storing what the integers stand for gives that again, and so does rounding once more."""
    rng = np.random.default_rng(6)
    weights, inputs = rng.normal(size=(140, 24)).astype(np.float32), correlated(rng, 500, 140, spikes=True)
    once = rounded(weights, inputs)
    for again in (store(once.dequantise(), INT4), rounded(once.dequantise(), inputs), rounded(weights, inputs)):
        np.testing.assert_array_equal(again.dequantise(), once.dequantise())


def test_its_scales_are_short() -> None:
    """They are multiples of a unit where those beside nearest integers are, also for a last group of one input."""
    rng = np.random.default_rng(8)
    weights, inputs = rng.normal(size=(129, 24)).astype(np.float32), correlated(rng, 500, 129, spikes=True)
    assert short_scales(rounded(weights, inputs)) is not None


def test_columns_are_rounded_alike_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wide matrix is rounded some columns at a time, which changes none of them."""
    rng = np.random.default_rng(7)
    weights, inputs = rng.normal(size=(100, 17)).astype(np.float32), correlated(rng, 300, 100)
    whole = rounded(weights, inputs)
    monkeypatch.setattr("astroedge.targets.precision.error_feedback.AT_A_TIME", 400)
    parts = rounded(weights, inputs)
    np.testing.assert_array_equal(parts.values, whole.values)
    np.testing.assert_array_equal(parts.scales, whole.scales)


def test_zeros_stay_zeros() -> None:
    """What was pruned, single weights and whole groups of a column, is not filled by the errors of others."""
    rng = np.random.default_rng(9)
    weights = rng.normal(size=(192, 30)).astype(np.float32)
    weights[rng.random(weights.shape) < 0.6] = 0
    weights[64:128, :15] = 0
    stored = rounded(weights, correlated(rng, 500, 192, spikes=True))
    assert not stored.values[weights == 0].any()
    assert stored.values[weights != 0].any()
