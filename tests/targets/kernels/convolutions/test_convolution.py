"""Shapes, blocks and windows of convolutions, against what PyTorch and counting by hand give."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings

from astroedge.targets.kernels.convolutions.convolution import Blocking, Convolution
from tests.support.kernels.reference_convolution import convolutions


@settings(max_examples=40, deadline=None)
@given(conv=convolutions())
def test_shapes_and_windows_are_those_of_torch(conv: Convolution) -> None:
    """Output sizes, and how many windows each pixel lies in: what torch's convolution with ones gives back."""
    top, left, bottom, right = conv.padding
    image = torch.zeros(1, 1, conv.height, conv.width, requires_grad=True)
    padded = torch.nn.functional.pad(image, (left, right, top, bottom))
    ones = torch.ones(1, 1, *conv.kernel)
    result = torch.nn.functional.conv2d(padded, ones, stride=conv.strides, dilation=conv.dilation)
    assert result.shape[2:] == (conv.out_height, conv.out_width)
    result.sum().backward()
    assert image.grad is not None
    np.testing.assert_array_equal(conv.fan_out(), image.grad[0, 0].numpy())


def test_blocks_hold_at_most_256_products() -> None:
    """Whole kernel rows, else whole columns of a row, else 256 channels."""

    def blocking(channels: int, rows: int, columns: int) -> tuple[Blocking, int]:
        conv = Convolution(1, channels, 9, 9, 4, (rows, columns))
        return conv.blocking, conv.block_count

    assert blocking(2, 5, 5) == (Blocking(5, 5, 2), 1)
    assert blocking(12, 5, 5) == (Blocking(4, 5, 12), 2)
    assert blocking(85, 3, 3) == (Blocking(1, 3, 85), 3)
    assert blocking(86, 3, 3) == (Blocking(1, 2, 86), 6)
    assert blocking(256, 3, 3) == (Blocking(1, 1, 256), 9)
    assert blocking(257, 3, 3) == (Blocking(1, 1, 256), 18)


def test_one_window_without_padding_is_a_matrix_product() -> None:
    """Only then do all windows read all inputs."""
    assert Convolution(2, 3, 4, 5, 7, (4, 5)).is_matrix_product
    assert not Convolution(2, 3, 4, 5, 7, (4, 4)).is_matrix_product
    assert not Convolution(2, 3, 4, 5, 7, (4, 5), padding=(0, 1, 0, 0)).is_matrix_product
    assert not Convolution(2, 4, 4, 5, 6, (4, 5), groups=2).is_matrix_product


def test_strips_save_stretches() -> None:
    """Lists by strips are made where a window then has at least three stretches less."""
    assert Convolution(1, 2, 34, 34, 12, (5, 5)).has_strips
    assert Convolution(1, 12, 15, 15, 32, (5, 5)).has_strips  # two blocks of five rows
    assert not Convolution(1, 2, 34, 34, 12, (3, 3)).has_strips
    assert not Convolution(1, 24, 15, 15, 32, (5, 5)).has_strips  # three blocks
    assert not Convolution(1, 2, 34, 34, 12, (5, 5), dilation=(2, 1)).has_strips
    assert not Convolution(1, 2, 34, 34, 12, (5, 5), groups=2).has_strips
