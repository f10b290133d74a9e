"""The dense convolution has the bits of the reduction order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroedge.targets.boards.target import resolve_target
from astroedge.targets.kernels.convolutions.convolution import Convolution
from astroedge.targets.kernels.convolutions.dense_conv import (
    ConvTile,
    conv_tile,
    copy_from_runs,
    copy_to_planes,
    dense_conv,
    pack_dense_conv,
    planes_size,
    runs_size,
)
from astroedge.targets.precision.storage import FLOAT32
from astroedge.targets.precision.weight_format import store
from tests.support.kernels.harness import CORTEX_A72, FUSED, NATIVE, RUNNABLE, X86_64_V3, assembly, run, same_bits
from tests.support.kernels.reference_convolution import convolutions, convolve, matrix


def dense_convolve(
    x: np.ndarray,
    weights: np.ndarray,
    conv: Convolution,
    tile: ConvTile,
    *,
    scales: np.ndarray | None = None,
    target: dict[str, object] = NATIVE,
    fused: bool = False,
) -> np.ndarray:
    """x [batch, channels, height, width] by W [outputs, group inputs, rows, columns]; the memory in between is NaN."""
    scratch = [np.full(size(conv), np.nan, np.float32) for size in (planes_size, runs_size)]
    planes = run(copy_to_planes(conv), [x.ravel()], scratch[:1], target)
    packed, _ = pack_dense_conv(store(matrix(weights), FLOAT32), conv, tile)
    runs = run(dense_conv(conv, tile, fused=fused), [*planes, packed], scratch[1:], target)
    y = np.zeros((conv.batch, conv.outputs, conv.out_height, conv.out_width), np.float32)
    func = copy_from_runs(conv, scaled=scales is not None)
    return run(func, [*runs, *([] if scales is None else [scales])], [y.ravel()], target)[0].reshape(y.shape)


@settings(max_examples=14, deadline=None)
@given(
    conv=convolutions(),
    channels=st.integers(1, 4),
    vectors=st.integers(1, 3),
    scaled=st.booleans(),
    target=st.sampled_from(RUNNABLE),
    seed=st.integers(0, 99),
)
def test_equals_the_reduction_order(
    conv: Convolution, channels: int, vectors: int, scaled: bool, target: dict[str, object], seed: int
) -> None:
    """Any form, tile and target: the bits of the order in NumPy."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((conv.batch, conv.channels, conv.height, conv.width)).astype(np.float32)
    weights = rng.standard_normal((conv.outputs, conv.group_inputs, *conv.kernel)).astype(np.float32)
    scales = rng.standard_normal(conv.outputs).astype(np.float32) if scaled else None
    expected = convolve(x, weights, conv)
    expected = expected if scales is None else scales[:, None, None] * expected
    tile = ConvTile(min(channels, conv.group_outputs), vectors)
    assert same_bits(dense_convolve(x, weights, conv, tile, scales=scales, target=target), expected)


def test_fused_products_of_spikes_have_the_bits_of_the_order() -> None:
    """Where inputs are 0 or 1 a fused product has the bits of the order."""
    conv = Convolution(1, 30, 6, 7, 5, (3, 3), padding=(1, 1, 1, 1))
    rng = np.random.default_rng(3)
    x = (rng.random((1, conv.channels, conv.height, conv.width)) < 0.5).astype(np.float32)
    weights = rng.standard_normal((conv.outputs, conv.channels, *conv.kernel)).astype(np.float32)
    assert same_bits(dense_convolve(x, weights, conv, ConvTile(4, 2), fused=True), convolve(x, weights, conv))


def test_infinite_weights_and_inputs_meet_only_in_their_windows() -> None:
    """An infinite input is seen by its own windows alone; an infinite weight shows in its own output."""
    conv = Convolution(1, 2, 5, 6, 4, (3, 3))
    rng = np.random.default_rng(0)
    x, weights = rng.standard_normal((1, 2, 5, 6)), rng.standard_normal((4, 2, 3, 3))
    x[0, 1, 2, 0], weights[2, 0, 1, 1] = np.inf, np.inf
    x, weights = x.astype(np.float32), weights.astype(np.float32)
    with np.errstate(invalid="ignore"):
        expected = convolve(x, weights, conv)
    assert same_bits(dense_convolve(x, weights, conv, ConvTile(2, 2)), expected)


@pytest.mark.guard
@pytest.mark.parametrize(("target", "board"), [(X86_64_V3, "x86-64-v3"), (CORTEX_A72, "raspberry-pi-4")])
def test_sums_stay_in_registers(target: dict[str, object], board: str) -> None:
    """With the tile meant for a target, the loop over the inputs neither spills nor fuses, and nothing is called.

    A guard: slow code computes the same numbers, and a fused product shows on other processors.
    """
    conv = Convolution(1, 16, 32, 32, 48, (3, 3), padding=(1, 1, 1, 1))
    code = assembly(dense_conv(conv, conv_tile(conv, resolve_target(board))), target)
    assert "call" not in code
    assert "\tbl\t" not in code
    assert not FUSED.search(code)
    multiplies = [line for line in code.splitlines() if "mulps" in line or "\tfmul\t" in line]
    assert multiplies
    assert not [line for line in multiplies if "rsp" in line]
    assert not any(scalar in code for scalar in ("mulss", "addss", "fmul\ts", "fadd\ts"))
