"""Lempel–Ziv complexity: published and hand-counted values."""

from __future__ import annotations

import numpy as np
import pytest

from astroedge.errors import InputError
from astroedge.lempel_ziv import lempel_ziv_complexity


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("0001101001000101", 6),  # 0·001·10·100·1000·101, of the paper
        ("0" * 40, 2),
        ("01" * 20, 3),
        ("0010", 3),
        ("1", 1),
        ("", 0),
    ],
)
def test_phrases_are_those_of_the_paper(text: str, phrases: int) -> None:
    """Trains fall into as many phrases as the paper or a count by hand says, whatever their dtype."""
    for dtype in (np.bool_, np.int64, np.float32):
        assert lempel_ziv_complexity(np.array([int(letter) for letter in text], dtype)) == phrases


def test_noise_has_more_phrases_than_rhythm() -> None:
    """A random train comes near n / log₂ n phrases; a repeated pattern stays far below."""
    noise = np.random.default_rng(1).integers(0, 2, 2000)
    bound = 2000 / np.log2(2000)
    assert 0.8 * bound < lempel_ziv_complexity(noise) < 1.3 * bound
    assert lempel_ziv_complexity(np.tile(noise[:10], 200)) < 0.1 * bound


@pytest.mark.parametrize("train", [np.array([0, 2, 1]), np.zeros((2, 5)), np.array([0.0, np.nan])])
def test_other_than_one_binary_train_is_refused(train: np.ndarray) -> None:
    """Several trains, and values that are not 0 or 1, raise InputError."""
    with pytest.raises(InputError, match="one train of 0 and 1"):
        lempel_ziv_complexity(train)
