"""The dense convolution that stores its rows at once has the bits of the reduction order."""

from __future__ import annotations

import numpy as np
import pytest

from astroedge.targets.kernels.convolutions.convolution import Convolution
from astroedge.targets.kernels.convolutions.dense_conv import ConvTile, copy_to_planes, pack_dense_conv, planes_size
from astroedge.targets.kernels.convolutions.row_conv import has_rows, row_conv
from astroedge.targets.precision.storage import FLOAT32
from astroedge.targets.precision.weight_format import store
from tests.support.kernels.harness import RUNNABLE, run, same_bits
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
    planes = run(copy_to_planes(conv), [x.ravel()], [np.full(planes_size(conv), np.nan, np.float32)], target)
    packed, _ = pack_dense_conv(store(matrix(weights), FLOAT32), conv, tile)
    y = np.full((conv.batch, conv.outputs, conv.out_height, conv.out_width), np.nan, np.float32)
    plain = run(row_conv(conv, tile), [*planes, packed], [y.ravel()], target)[0].reshape(y.shape)
    assert same_bits(plain, convolve(x, weights, conv))
    scaled = run(row_conv(conv, tile, scaled=True), [*planes, packed, scales], [y.ravel()], target)[0]
    assert same_bits(scaled.reshape(y.shape), scales[:, None, None] * convolve(x, weights, conv))


def test_rows_are_stored_at_once_where_a_sum_is_one_block() -> None:
    """More than 256 products are several blocks, and a row narrower than a vector has none that fits."""
    assert has_rows(Convolution(1, 3, 32, 32, 8, (7, 7), padding=(3, 3, 3, 3)))
    assert not has_rows(Convolution(1, 29, 32, 32, 8, (3, 3)))
    assert not has_rows(Convolution(1, 3, 17, 17, 8, (3, 3)))
