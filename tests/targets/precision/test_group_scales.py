"""The best scale of a group is found by float32 and is the one that the definition in float64 gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from astroedge.targets.precision.group_scales import best_scale, round_to
from astroedge.targets.precision.storage import INT4, INT8, Storage


def tried(weights: NDArray[np.float32], storage: Storage) -> list[NDArray[np.float32]]:
    """The scales of each column in their order, away from zero to 16 significant bits."""
    extreme = weights[np.abs(weights).argmax(axis=0), np.arange(weights.shape[1])].astype(np.float64)
    ends = [np.abs(extreme) / storage.largest, *([extreme / storage.lowest] if storage is INT4 else [])]
    found = []
    for scale in (end * shrink for shrink in storage.shrinks for end in ends):
        mantissa, exponent = np.frexp(np.maximum(np.abs(np.where(extreme == 0, 1.0, scale)), 2.0**-126))
        short = np.ldexp(np.ceil(mantissa * 2**16), exponent - 16)
        found.append(np.copysign(short, np.where(extreme == 0, 1.0, scale)).astype(np.float32))
    return found


def by_definition(
    weights: NDArray[np.float32], storage: Storage, importance: NDArray[np.float64] | None
) -> NDArray[np.float32]:
    """Of all scales that are tried the first with the least sum of squared errors, row after row."""
    counts = np.ones(len(weights)) if importance is None else importance
    best = np.ones(weights.shape[1], np.float32)
    least = np.full(weights.shape[1], np.inf)
    for scale in tried(weights, storage):
        total = np.zeros(weights.shape[1])
        for row, count in zip(weights.astype(np.float64), counts, strict=True):
            integers = np.clip(np.rint(row / scale), storage.lowest, storage.largest)
            total += np.square(row - integers * scale.astype(np.float64)) * count
        best, least = np.where(total < least, scale, best), np.minimum(total, least)
    return best


@pytest.mark.parametrize("storage", [INT8, INT4], ids=["int8", "int4"])
@pytest.mark.parametrize("weighted", [False, True], ids=["alike", "by importance"])
@pytest.mark.parametrize("kind", ["normal", "tiny", "huge", "long tails", "mostly zero", "few values", "few rows"])
def test_the_scale_is_that_of_the_definition(kind: str, weighted: bool, storage: Storage) -> None:
    """Float32 only leaves out scales that are clearly worse, whatever the size and the spread of the weights."""
    rng = np.random.default_rng(len(kind))
    weights = rng.normal(size=(5 if kind == "few rows" else 64, 300))
    changes = {
        "tiny": lambda w: w * 1e-42,
        "huge": lambda w: w * 3e37,
        "long tails": lambda w: w**5,
        "mostly zero": lambda w: np.where(rng.random(w.shape) < 0.9, 0, w),
        "few values": lambda w: np.rint(w * 3) / 3,
    }
    given_weights = changes.get(kind, lambda w: w)(weights).astype(np.float32)
    importance = rng.random(len(weights)) ** 8 if weighted else None
    np.testing.assert_array_equal(
        best_scale(given_weights, storage, importance), by_definition(given_weights, storage, importance)
    )


@given(
    weights=arrays(
        np.float32,
        st.tuples(st.integers(1, 8), st.integers(1, 3)),
        elements=st.one_of(
            st.sampled_from([0.0, -0.0, 1.0, -1.0, 7.0, -8.0, 7.5, 2.0**-126, -(2.0**-149), 6e4]),
            st.floats(-4, 4, width=32, allow_subnormal=True),
        ),
    )
)
def test_ties_go_to_the_first_scale(weights: NDArray[np.float32]) -> None:
    """Weights for which several scales have the same error get the one that is tried first."""
    np.testing.assert_array_equal(best_scale(weights, INT4), by_definition(weights, INT4, None))


def test_integers_are_the_nearest_with_ties_to_even() -> None:
    """Halves go to even integers, and what lies beyond the range to its ends."""
    weights = np.array([[0.5], [1.5], [-2.5], [9.0], [-9.0]], np.float32)
    assert round_to(weights, np.ones(1, np.float32), INT4).ravel().tolist() == [0, 2, -2, 7, -8]
