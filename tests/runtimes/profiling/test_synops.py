"""Synaptic operations: the counts agree with NeuroBench's definition Σ 1[W ≠ 0] · 1[x ≠ 0], done by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from astroedge.bundle.manifest import Activity, Matrix
from astroedge.runtimes.profiling.synops import count_operations


def matrix(rows: int, columns: int, *, calls: int = 1, spikes: str | None = "z", nonzero: int | None = -1) -> Matrix:
    """A matrix of the manifest; every weight is non-zero unless `nonzero` says otherwise."""
    nonzero = rows * columns if nonzero == -1 else nonzero
    return Matrix("W", rows, columns, calls, "event", "", spikes, nonzero, 4 * rows * columns)


def by_definition(weights: np.ndarray, inputs: np.ndarray) -> int:
    """NeuroBench's count over all input vectors in `inputs (T, rows)`, element by element."""
    return sum(
        int(weights[i, j] != 0 and x[i] != 0)
        for x in inputs
        for i in range(weights.shape[0])
        for j in range(weights.shape[1])
    )


def test_spikes_through_a_full_matrix_are_counted_exactly() -> None:
    """Without zero weights, active inputs × columns is the definition itself."""
    rng = np.random.default_rng(3)
    weights, inputs = rng.uniform(0.5, 1, (7, 5)), rng.random((20, 7)) < 0.3
    result = count_operations([matrix(7, 5)], [Activity("z", 7, 0, 0.3)], {"z": int(inputs.sum())}, 20)
    assert result.effective_acs == pytest.approx(by_definition(weights, inputs) / 20)
    assert (result.effective_macs, result.dense, result.label) == (0, 35, "measured")


def test_zero_weights_make_the_count_an_estimate_that_is_right_on_average() -> None:
    """Half the weights zero: the estimate is the mean over all placements and is labelled so."""
    weights = np.array([[1.0, 0.0], [0.0, 1.0]])
    every_input = np.array([[0, 1], [1, 0], [1, 1], [0, 0]])
    result = count_operations(
        [matrix(2, 2, nonzero=2)], [Activity("z", 2, 0, 0.5)], {"z": int(every_input.sum())}, len(every_input)
    )
    assert result.effective_acs == pytest.approx(by_definition(weights, every_input) / 4)
    assert result.label == "estimated"
    assert "zero weights" in result.matrices[0].note


def test_a_dense_input_counts_macs() -> None:
    """A matrix that reads real numbers has MACs, zero weights left out of the effective ones, all in the dense ones."""
    weights, inputs = np.array([[1.0, 0.0, 2.0], [3.0, 4.0, 5.0]]), np.array([[0.25, -1.0]])
    result = count_operations([matrix(2, 3, spikes=None, nonzero=5)], [], {}, 1)
    assert result.effective_macs == by_definition(weights, inputs) == 5
    assert (result.effective_acs, result.dense, result.matrices[0].kind) == (0, 6, "MAC")


def test_graded_inputs_count_macs_of_those_that_are_not_zero() -> None:
    """A matrix that reads counts or rectified numbers multiplies, but only by what is not zero."""
    graded = replace(matrix(7, 5), graded=True)
    result = count_operations([graded], [Activity("z", 7, 0, 0.3)], {"z": 40}, 20)
    assert (result.effective_acs, result.effective_macs, result.label) == (0, 2 * 5, "measured")


def test_a_batch_or_heads_share_one_activity_counter() -> None:
    """Three products of 4 rows read one counter of 12 spikes: each spike enters one product."""
    result = count_operations([matrix(4, 8, calls=3)], [Activity("z", 12, 0, 0.5)], {"z": 30}, 5)
    assert (result.effective_acs, result.dense, result.label) == (6 * 8, 4 * 8 * 3, "measured")


def test_a_state_read_by_spikes_is_an_estimate() -> None:
    """Nobody counts the zeros of a memory matrix, so the count is an upper bound and says so."""
    result = count_operations([matrix(4, 4, nonzero=None)], [Activity("z", 4, 0, 0.5)], {"z": 2}, 1)
    assert result.effective_acs == 8
    assert result.label == "estimated"
    assert "state" in result.matrices[0].note


def test_overlapping_windows_read_a_spike_more_than_once() -> None:
    """A convolution of 3 taps at 10 places over 12 inputs reads each of them 2.5 times on average."""
    result = count_operations([matrix(3, 6, calls=10)], [Activity("z", 12, 0, 0.5)], {"z": 4}, 1)
    assert result.effective_acs == pytest.approx(4 * 2.5 * 6)
    assert result.label == "estimated"


def test_one_estimate_makes_the_total_an_estimate() -> None:
    """Totals add ACs and MACs apart, and carry the weaker label."""
    matrices = [matrix(7, 5), matrix(2, 3, spikes=None)]
    result = count_operations(matrices, [Activity("z", 7, 0, 0.3)], {"z": 14}, 7)
    assert (result.effective_acs, result.effective_macs, result.dense) == (10, 6, 41)
    assert result.label == "estimated"
    assert result.matrices[0].label == "measured"
