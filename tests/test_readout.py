"""Readouts: sums in the order of the ticks, first spikes, and the class of equals."""

from __future__ import annotations

import numpy as np
import pytest

from astroedge.errors import InputError
from astroedge.readout import READOUTS, Readout, chosen_class


def read(kind: str, values: np.ndarray, pieces: int = 1) -> np.ndarray:
    """The readout of ticks that come in pieces."""
    readout = Readout(kind)
    for piece in np.array_split(values, pieces):
        readout.add(piece)
    return readout.result()


@pytest.mark.parametrize("pieces", [1, 3])
def test_every_readout_of_spikes(pieces: int) -> None:
    """Counts, rates, the last tick, and the tick of the first spike: the number of ticks where there was none."""
    spikes = np.array([[0, 0, 1], [0, 2, 0], [0, 1, 1], [0, 0, 1]], np.float32)
    assert read("sum", spikes, pieces).tolist() == [0, 3, 3]
    assert read("rate", spikes, pieces).tolist() == [0, 0.75, 0.75]
    assert read("last", spikes, pieces).tolist() == [0, 0, 1]
    assert read("first-spike", spikes, pieces).tolist() == [4, 1, 0]
    assert [read(kind, spikes, pieces).dtype for kind in READOUTS] == ["float64", "float64", "float32", "int64"]


def test_sums_are_added_tick_by_tick() -> None:
    """One output alone, which NumPy would add in pairs, is added in the order of the ticks, in pieces or not."""
    values = np.random.default_rng(0).standard_normal((1000, 1)).astype(np.float32)
    total = 0.0
    for value in values[:, 0].tolist():
        total += value
    assert read("sum", values).tolist() == read("sum", values, 7).tolist() == [total]


def test_of_equals_the_lowest_index_is_the_class() -> None:
    """The highest sum, the earliest spike; nothing that fired is no class."""
    assert chosen_class("sum", np.array([1.0, 3.0, 3.0]), 9) == 1
    assert chosen_class("first-spike", np.array([9, 4, 4]), 9) == 1
    assert chosen_class("first-spike", np.array([9, 9, 9]), 9) == -1


def test_an_unknown_readout_is_named() -> None:
    """The message has those that there are."""
    with pytest.raises(InputError, match="'max'; it is one of sum, rate, last, first-spike"):
        Readout("max")
