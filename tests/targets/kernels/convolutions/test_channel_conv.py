"""The dense convolution in vectors of output channels has the bits of the reduction order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroedge.targets.boards.target import resolve_target
from astroedge.targets.kernels.convolutions.channel_conv import (
    BAND,
    ChannelTile,
    channel_conv,
    channel_tile,
    pack_channel_conv,
    window_counts,
)
from astroedge.targets.kernels.convolutions.convolution import Convolution
from astroedge.targets.kernels.convolutions.pixel_copy import PixelCopy, copy_to_pixels
from astroedge.targets.kernels.convolutions.tile_transpose import sums_size, transpose_sums
from astroedge.targets.precision.storage import FLOAT32
from astroedge.targets.precision.weight_format import store
from tests.support.kernels.harness import (
    CORTEX_A72,
    FUSED,
    NATIVE,
    RUNNABLE,
    SPILL,
    X86_64_V3,
    X86_64_V4,
    assembly,
    innermost_loops,
    run,
    same_bits,
)
from tests.support.kernels.reference_convolution import convolutions, convolve, matrix


def channel_convolve(
    x: np.ndarray,
    weights: np.ndarray,
    conv: Convolution,
    tile: ChannelTile,
    target: dict[str, object] = NATIVE,
    fused: bool = False,
) -> np.ndarray:
    """x [batch, channels, height, width] by W [outputs, channels, rows, columns]; the memory in between is NaN."""
    layout = PixelCopy(conv)
    pixels = run(copy_to_pixels(layout), [x.ravel()], [np.full(layout.size, np.nan, np.float32)], target)
    packed, _ = pack_channel_conv(store(matrix(weights), FLOAT32), conv, tile)
    sums = np.full(conv.batch * sums_size(conv.out_pixels, conv.outputs), np.nan, np.float32)
    made = run(channel_conv(conv, tile, fused=fused), [*pixels, packed], [sums], target)
    y = np.zeros((conv.batch, conv.outputs, conv.out_height, conv.out_width), np.float32)
    return run(transpose_sums(conv.out_pixels, conv.outputs, batch=conv.batch), made, [y.ravel()], target)[0].reshape(
        y.shape
    )


def _data(conv: Convolution, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((conv.batch, conv.channels, conv.height, conv.width)).astype(np.float32)
    return x, rng.standard_normal((conv.outputs, conv.channels, *conv.kernel)).astype(np.float32)


@settings(max_examples=9, deadline=None)
@given(
    conv=convolutions().map(lambda conv: replace(conv, groups=1)),
    channels=st.sampled_from([16, 32]),
    windows=st.integers(1, 8),
    target=st.sampled_from(RUNNABLE),
    seed=st.integers(0, 99),
)
def test_equals_the_reduction_order(
    conv: Convolution, channels: int, windows: int, target: dict[str, object], seed: int
) -> None:
    """Any form, tile and target: the bits of the order in NumPy."""
    x, weights = _data(conv, seed)
    result = channel_convolve(x, weights, conv, ChannelTile(channels, windows), target)
    assert same_bits(result, convolve(x, weights, conv))


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("channels", [24, 130, 257], ids=["rows", "columns", "channels"])
def test_taps_outside_a_small_image_add_nothing(size: int, channels: int) -> None:
    """Blocks of rows, columns or channels, wholly or partly in the padding; infinite weights are unseen there."""
    conv = Convolution(2, channels, size, size, 19, (3, 3), padding=(1, 1, 1, 1))
    x, weights = _data(conv, size)
    if channels > 256:
        weights[3, 0, 0, 0] = np.inf  # of the first pixel it lies outside
    result = channel_convolve(x, weights, conv, ChannelTile(16, 6))
    assert same_bits(result, convolve(x, weights, conv))


def test_fused_products_of_spikes_have_the_bits_of_the_order() -> None:
    """Where inputs are 0 or 1 a fused product has the bits of the order."""
    conv = Convolution(1, 40, 4, 5, 19, (3, 3), padding=(1, 1, 1, 1))
    x, weights = _data(conv, 2)
    x = (x > 0).astype(np.float32)
    assert same_bits(channel_convolve(x, weights, conv, ChannelTile(16, 6), fused=True), convolve(x, weights, conv))


def test_a_large_image_is_cut_into_bands() -> None:
    """Every window is in one band, and its sums are those of an image in one piece."""
    conv = Convolution(1, 5, 19, 23, 9, (3, 2), padding=(1, 0, 1, 1))
    assert conv.out_pixels > BAND
    assert sum(windows for windows, _ in window_counts(conv)) == conv.out_pixels
    assert len(list(window_counts(conv))) > 1
    x, weights = _data(conv, 0)
    assert same_bits(channel_convolve(x, weights, conv, ChannelTile(16, 4)), convolve(x, weights, conv))


def test_windows_without_a_tap_are_not_computed() -> None:
    """A 3 × 3 kernel on 2 × 2 pixels: the corners of the kernel meet one window, its edges two, its middle all."""
    conv = Convolution(1, 512, 2, 2, 8, (3, 3), padding=(1, 1, 1, 1))
    assert [windows for windows, _ in window_counts(conv)] == [n for n in (1, 2, 1, 2, 4, 2, 1, 2, 1) for _ in range(2)]
    assert sum(taps for _, taps in window_counts(conv)) == conv.taps


@pytest.mark.guard
@pytest.mark.parametrize(
    ("target", "board"),
    [(X86_64_V3, "x86-64-v3"), (X86_64_V4, "x86-64-v4"), (CORTEX_A72, "raspberry-pi-4")],
)
def test_sums_stay_in_registers(target: dict[str, object], board: str) -> None:
    """With the tile meant for a target, the loops over the inputs neither spill nor fuse, and nothing is called.

    A guard: slow code computes the same numbers, and a fused product shows on other processors.
    """
    conv = Convolution(1, 64, 8, 8, 64, (3, 3), padding=(1, 1, 1, 1))
    code = assembly(channel_conv(conv, channel_tile(conv, resolve_target(board))), target)
    assert not FUSED.search(code)
    products = [body for body in innermost_loops(code) if any("mulps" in line or "\tfmul\t" in line for line in body)]
    assert products
    assert not [line for body in products for line in body if SPILL.search(line) or "call" in line or "\tbl\t" in line]
