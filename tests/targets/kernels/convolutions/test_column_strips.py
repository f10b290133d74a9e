"""The list of each strip of an image: whole rows one after the other, numbered for the weights of its windows."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from astroedge.targets.kernels.convolutions.column_strips import ColumnStrips, column_strips
from astroedge.targets.kernels.convolutions.convolution import Convolution
from tests.support.kernels.harness import run
from tests.support.kernels.pixels import list_pixels


@settings(max_examples=10, deadline=None)
@given(
    channels=st.sampled_from([1, 2, 7, 12]),
    width=st.integers(5, 21),
    stride=st.integers(1, 2),
    left=st.integers(0, 6),
    together=st.integers(1, 3),
    graded=st.booleans(),
    rate=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 99),
)
def test_a_strip_lists_what_its_windows_read(
    channels: int, width: int, stride: int, left: int, together: int, graded: bool, rate: float, seed: int
) -> None:
    """Element by element: its row and place in the strip, with room beside for the columns of other windows."""
    conv = Convolution(2, channels, 4, width, 8, (4, 3), (1, stride), (0, left, 0, 1))
    assert conv.has_strips
    strips = ColumnStrips(conv, min(together, conv.out_width))
    rng = np.random.default_rng(seed)
    x = (rng.random((2, channels, 4, width)) < rate) * rng.standard_normal((2, channels, 4, width))
    x = x.astype(np.float32)
    lists = conv.lists
    listed = list_pixels(x.reshape(2, channels, -1), lists, values=graded)
    inputs = [np.pad(listed.values.ravel(), (0, lists.values_size - lists.size))] if graded else []
    inputs += [np.pad(listed.indices.ravel(), (0, lists.indices_size - lists.size)), listed.starts.ravel()]
    outputs = [np.zeros(strips.size, np.float32)] if graded else []
    outputs += [np.zeros(strips.size, np.int32), np.zeros(strips.starts_size, np.int32)]
    *values, elements, starts = run(column_strips(strips, values=graded), inputs, outputs)
    elements, starts = elements.reshape(2, strips.count, -1), starts.reshape(2, strips.count, -1)
    for image, strip in np.ndindex(2, strips.count):
        first = min(strip * strips.together, conv.out_width - strips.together) * stride - left
        columns = range(max(first, 0), min(first + 3 + strips.beside, width))
        places = [(row, column, c) for row in range(4) for column in columns for c in range(channels)]
        active = [place for place in places if x[image, place[2], place[0], place[1]] != 0]
        count = len(active)
        numbers = [row * strips.row + (strips.beside + column - first) * channels + c for row, column, c in active]
        assert elements[image, strip, :count].tolist() == numbers
        assert starts[image, strip].tolist() == [sum(row < end for row, _, _ in active) for end in range(5)]
        if graded:
            own = values[0].reshape(2, strips.count, -1)[image, strip, :count]
            np.testing.assert_array_equal(own, [x[image, c, row, column] for row, column, c in active])
