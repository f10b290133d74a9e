"""Sums with the channels last come out with the channels first, scaled."""

from __future__ import annotations

import numpy as np
import pytest

from astroedge.targets.kernels.convolutions.tile_transpose import sums_pitch, sums_size, transpose_sums
from tests.support.kernels.harness import CORTEX_A72, FUSED, RUNNABLE, assembly, run, same_bits


@pytest.mark.parametrize("target", RUNNABLE, ids=["native", "oldest"])
@pytest.mark.parametrize("pixels", [1, 3, 8, 9, 70])
@pytest.mark.parametrize("channels", [1, 8, 12, 21])
def test_channels_come_first(target: dict[str, object], pixels: int, channels: int) -> None:
    """Any number of pixels and channels; what lies behind them is not read into the result."""
    pitch = sums_pitch(channels)
    sums = np.full((2, sums_size(pixels, channels)), np.nan, np.float32)
    own = sums[:, : pixels * pitch].reshape(2, pixels, pitch)[:, :, :channels]
    own[...] = np.random.default_rng(0).standard_normal(own.shape)
    scales = np.arange(1, channels + 1, dtype=np.float32) / 3
    y = np.zeros((2, channels, pixels), np.float32)
    plain = run(transpose_sums(pixels, channels, batch=2), [sums.ravel()], [y.ravel()], target)[0]
    assert same_bits(plain, own.transpose(0, 2, 1).copy())
    scaled = transpose_sums(pixels, channels, scaled=True, batch=2)
    result = run(scaled, [sums.ravel(), scales], [y.ravel()], target)[0]
    assert same_bits(result, (own * scales).transpose(0, 2, 1).copy())


@pytest.mark.guard
def test_a_tile_is_moved_in_registers() -> None:
    """On NEON too, exchanges are instructions on vectors: nothing is put together element by element.

    A guard: slow code computes the same numbers, and a fused product shows on other processors.
    """
    code = assembly(transpose_sums(64, 16, scaled=True), CORTEX_A72)
    assert "\tbl\t" not in code
    assert not FUSED.search(code)
    assert not [line for line in code.splitlines() if "ld1\t{" in line or "ins\t" in line]
