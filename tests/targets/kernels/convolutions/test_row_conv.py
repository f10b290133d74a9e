"""The dense convolution that stores its rows at once has the bits of the reduction order."""

from __future__ import annotations

import numpy as np
import pytest

from astroedge.targets.kernels.convolutions.convolution import Convolution
from astroedge.targets.kernels.convolutions.dense_conv import ConvTile, copy_to_planes, pack_dense_conv, planes_size
from astroedge.targets.kernels.convolutions.row_conv import has_rows, reads_images, row_conv
from astroedge.targets.precision.storage import FLOAT32
from astroedge.targets.precision.weight_format import store
from tests.support.kernels.harness import FUSED, NATIVE, RUNNABLE, X86_64_V3, assembly, run, same_bits
from tests.support.kernels.reference_convolution import convolve, matrix


@pytest.mark.parametrize("target", RUNNABLE, ids=["native", "oldest"])
@pytest.mark.parametrize(
    ("conv", "tile"),
    [
        (Convolution(2, 3, 9, 37, 7, (3, 3), padding=(1, 1, 1, 1)), ConvTile(4, 2)),
        (Convolution(1, 2, 7, 70, 5, (4, 3), strides=(2, 3), padding=(0, 2, 1, 0), dilation=(1, 2)), ConvTile(2, 1)),
        (Convolution(1, 8, 1, 16, 6, (1, 1), groups=2), ConvTile(3, 5)),
    ],
    ids=["planar", "strided", "groups"],
)
def test_equals_the_reduction_order(conv: Convolution, tile: ConvTile, target: dict[str, object]) -> None:
    """The bits of the order in NumPy, where the last vector of a row overlaps the one before it too; then scaled."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((conv.batch, conv.channels, conv.height, conv.width)).astype(np.float32)
    weights = rng.standard_normal((conv.outputs, conv.group_inputs, *conv.kernel)).astype(np.float32)
    scales = rng.standard_normal(conv.outputs).astype(np.float32)
    planes = _planes(x, conv, target)
    packed, _ = pack_dense_conv(store(matrix(weights), FLOAT32), conv, tile)
    y = np.full((conv.batch, conv.outputs, conv.out_height, conv.out_width), np.nan, np.float32)
    plain = run(row_conv(conv, tile), [*planes, packed], [y.ravel()], target)[0].reshape(y.shape)
    assert same_bits(plain, convolve(x, weights, conv))
    scaled = run(row_conv(conv, tile, scaled=True), [*planes, packed, scales], [y.ravel()], target)[0]
    assert same_bits(scaled.reshape(y.shape), scales[:, None, None] * convolve(x, weights, conv))


def test_fused_products_of_spikes_have_the_bits_of_the_order() -> None:
    """Where inputs are 0 or 1 a fused product has the bits of the order; infinite weights make the same NaN."""
    conv, tile = Convolution(1, 5, 6, 20, 7, (3, 3)), ConvTile(4, 2)
    rng = np.random.default_rng(1)
    x = (rng.random((1, conv.channels, conv.height, conv.width)) < 0.4).astype(np.float32)
    weights = rng.standard_normal((conv.outputs, conv.channels, *conv.kernel)).astype(np.float32)
    weights[3, 0, 0, 0], weights[4] = np.inf, -np.abs(weights[4]) * np.float32(1e-42)
    packed, _ = pack_dense_conv(store(matrix(weights), FLOAT32), conv, tile)
    y = np.full(conv.outputs * conv.out_pixels, np.nan, np.float32)
    made = run(row_conv(conv, tile, fused=True), [*_planes(x, conv, NATIVE), packed], [y], NATIVE)[0]
    with np.errstate(invalid="ignore"):
        expected = convolve(x, weights, conv)
    assert np.array_equal(made.reshape(expected.shape), expected, equal_nan=True)
    assert np.isnan(made).any()


@pytest.mark.guard
def test_only_products_of_spikes_are_fused() -> None:
    """A guard: one instruction for a product and a sum is what makes spikes cheap, and forbidden for other numbers."""
    conv, tile = Convolution(1, 5, 6, 20, 7, (3, 3)), ConvTile(4, 2)
    assert FUSED.search(assembly(row_conv(conv, tile, fused=True), X86_64_V3))
    assert not FUSED.search(assembly(row_conv(conv, tile), X86_64_V3))


def _planes(x: np.ndarray, conv: Convolution, target: dict[str, object]) -> list[np.ndarray]:
    """What the kernel reads of the images."""
    if reads_images(conv):
        return [x.ravel()]
    return run(copy_to_planes(conv), [x.ravel()], [np.full(planes_size(conv), np.nan, np.float32)], target)


def test_rows_are_stored_at_once_where_a_sum_is_one_block() -> None:
    """More than 256 products are several blocks, and a row narrower than a vector has none that fits."""
    assert has_rows(Convolution(1, 3, 32, 32, 8, (7, 7), padding=(3, 3, 3, 3)))
    assert not has_rows(Convolution(1, 29, 32, 32, 8, (3, 3)))
    assert not has_rows(Convolution(1, 3, 17, 17, 8, (3, 3)))
