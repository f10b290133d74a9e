"""The list of active elements, pixel by pixel: ascending, complete, entered at every cell, counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroedge.targets.kernels.convolutions.pixel_lists import PixelLists
from tests.support.kernels.harness import RUNNABLE
from tests.support.kernels.pixels import list_pixels


@settings(max_examples=15, deadline=None)
@given(
    channels=st.one_of(st.integers(1, 20), st.sampled_from([31, 64, 256, 300, 513])),
    groups=st.sampled_from([1, 2, 3]),
    pixels=st.integers(1, 50),
    batch=st.integers(1, 3),
    rate=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    graded=st.booleans(),
    target=st.sampled_from(RUNNABLE),
    seed=st.integers(0, 99),
)
def test_lists_every_active_element_of_every_image(
    channels: int, groups: int, pixels: int, batch: int, rate: float, graded: bool, target: dict[str, object], seed: int
) -> None:
    """Elements in the order of pixels, then channels; `starts` says where each cell of each pixel begins."""
    lists = PixelLists(batch, channels, pixels, cell=min(256, -(-channels // groups)))
    rng = np.random.default_rng(seed)
    x = (rng.random((batch, channels, pixels)) < rate).astype(np.float32)
    x = x * rng.standard_normal(x.shape).astype(np.float32) if graded else x
    made = list_pixels(x, lists, values=graded, target=target, counter=7)
    assert made.count == 7 + np.count_nonzero(x)
    cells = [pixel * channels + channel for pixel in range(pixels) for channel in range(0, channels, lists.cell)]
    for image in range(batch):
        last = x[image].T.ravel()
        active = np.flatnonzero(last)
        assert made.indices[image, : len(active)].tolist() == active.tolist()
        edges = np.searchsorted(active, [*cells, channels * pixels])
        assert made.starts[image].tolist() == [*edges, 0]
        if graded:
            np.testing.assert_array_equal(made.values[image, : len(active)], last[active])


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", [0, 7, 16, 36])
def test_an_infinite_element_is_told(odd: float, place: int) -> None:
    """The last entry of `starts` is 1 for the image that holds an infinity or a NaN, wherever it lies."""
    x = np.full((2, 1, 37), np.finfo(np.float32).max, np.float32)
    x[1, 0, place] = odd
    assert list_pixels(x, PixelLists(2, 1, 37, 1), values=True).starts[:, -1].tolist() == [0, 1]


@pytest.mark.parametrize("channels", [1, 5])
def test_minus_zero_is_silent_and_nan_is_not(channels: int) -> None:
    """−0.0 is zero; a NaN must not vanish. Channels beyond the first share a byte or have one for each pixel."""
    x = np.zeros((1, channels, 5), np.float32)
    x[0, 0] = [0.0, -0.0, np.nan, 1e-45, -2.0]
    made = list_pixels(x, PixelLists(1, channels, 5, channels), values=True)
    assert made.indices[0, :3].tolist() == [2 * channels, 3 * channels, 4 * channels]
    assert made.count == 3
