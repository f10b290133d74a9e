"""Large networks: sizes as they are asked for, a folder for each."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from benchmarks.networks import large


@pytest.mark.parametrize("weights", [50_000_000, 500_000_000, 1_500_000_000])
def test_a_network_has_about_as_many_weights_as_asked_for(weights: int) -> None:
    """Without any memory for it, the network is within a tenth of the size."""
    assert large.count_weights(large.configuration(weights)) == pytest.approx(weights, rel=0.11)


@pytest.mark.parametrize(("text", "number"), [("50M", 50_000_000), ("1.5B", 1_500_000_000), ("1234", 1234)])
def test_numbers_have_letters(text: str, number: int) -> None:
    """A size is a number with a letter for thousands."""
    assert large.parse_weights(text) == number


def test_what_is_no_number_is_refused() -> None:
    """A size that is none is named."""
    with pytest.raises(argparse.ArgumentTypeError, match="lots"):
        large.parse_weights("lots")


def test_networks_of_different_sizes_and_rates_have_folders_of_their_own() -> None:
    """The suite's own rate has the folder without a rate in its name."""
    small, big = large.configuration(50_000_000), large.configuration(500_000_000)
    places = [large.folder_of(Path("out"), config, rate) for config in (small, big) for rate in (0.1, 0.05)]
    assert [place.name for place in places] == ["1024x4", "1024x4-0.05", "2048x9", "2048x9-0.05"]
