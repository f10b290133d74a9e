"""The event-driven convolution has the bits of the reduction order, whatever fires."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroedge.targets.kernels.convolutions.column_strips import ColumnStrips, column_strips
from astroedge.targets.kernels.convolutions.convolution import Convolution
from astroedge.targets.kernels.convolutions.event_conv import event_conv, most_together, pack_event_conv
from astroedge.targets.kernels.convolutions.tile_transpose import sums_size, transpose_sums
from astroedge.targets.precision.storage import FLOAT16, FLOAT32, INT8, Storage
from astroedge.targets.precision.weight_format import store
from tests.support.kernels.harness import CORTEX_A72, FUSED, NATIVE, RUNNABLE, X86_64_V3, assembly, run, same_bits
from tests.support.kernels.pixels import list_pixels
from tests.support.kernels.reference_convolution import convolutions, convolve, matrix


def event_convolve(
    x: np.ndarray,
    weights: np.ndarray,
    conv: Convolution,
    *,
    graded: bool,
    together: int = 1,
    tile: int = 128,
    storage: Storage = FLOAT32,
    by_block: bool = False,
    fused: bool = False,
    target: dict[str, object] = NATIVE,
) -> np.ndarray:
    """x [batch, channels, height, width] by W [outputs, group inputs, rows, columns], through the lists."""
    packed, scales = pack_event_conv(store(matrix(weights), storage), conv, together)
    lists, listed = conv.lists, list_pixels(x.reshape(conv.batch, conv.channels, -1), conv.lists, values=graded)
    pixels = [np.pad(listed.values.ravel(), (0, lists.values_size - lists.size))] if graded else []
    pixels += [np.pad(listed.indices.ravel(), (0, lists.indices_size - lists.size)), listed.starts.ravel()]
    inputs = pixels if graded or not conv.has_strips else []
    if conv.has_strips:
        strips = ColumnStrips(conv, together)
        outputs = [np.full(strips.size, np.nan, np.float32)] if graded else []
        outputs += [np.full(strips.size, -1, np.int32), np.full(strips.starts_size, -1, np.int32)]
        inputs = [*inputs, *run(column_strips(strips, values=graded), pixels, outputs, target)]
    func = event_conv(
        conv, graded=graded, together=together, tile=tile, storage=storage, by_block=by_block, fused=fused
    )
    sums = np.full(conv.batch * sums_size(conv.out_pixels, conv.outputs), np.nan, np.float32)
    made = run(func, [*inputs, packed], [sums], target)
    func = transpose_sums(conv.out_pixels, conv.outputs, scaled=scales is not None, batch=conv.batch)
    y = np.zeros((conv.batch, conv.outputs, conv.out_height, conv.out_width), np.float32)
    return run(func, [*made, *([] if scales is None else [scales])], [y.ravel()], target)[0].reshape(y.shape)


def _data(conv: Convolution, rate: float, graded: bool, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images that fire at a rate, and weights."""
    rng = np.random.default_rng(seed)
    x = (rng.random((conv.batch, conv.channels, conv.height, conv.width)) < rate).astype(np.float32)
    x = x * rng.standard_normal(x.shape).astype(np.float32) if graded else x
    return x, rng.standard_normal((conv.outputs, conv.group_inputs, *conv.kernel)).astype(np.float32)


@settings(max_examples=14, deadline=None)
@given(
    conv=convolutions(),
    rate=st.sampled_from([0.05, 0.3, 1.0]),
    graded=st.booleans(),
    together=st.integers(1, 8),
    tile=st.sampled_from([8, 64, 128]),
    target=st.sampled_from(RUNNABLE),
    seed=st.integers(0, 99),
)
def test_equals_the_reduction_order(
    conv: Convolution, rate: float, graded: bool, together: int, tile: int, target: dict[str, object], seed: int
) -> None:
    """Any form, rate, tile and target: the bits of the order in NumPy, which reads silent inputs too."""
    x, weights = _data(conv, rate, graded, seed)
    together = min(together, most_together(conv, 512))
    result = event_convolve(x, weights, conv, graded=graded, together=together, tile=tile, target=target)
    assert same_bits(result, convolve(x, weights, conv))


def test_fused_products_of_counts_have_the_bits_of_the_order() -> None:
    """Counts that are powers of two times weights are exact, whether they are rounded or not."""
    conv = Convolution(1, 12, 6, 7, 20, (3, 3), padding=(1, 1, 1, 1))
    x, weights = _data(conv, 0.5, False, 4)
    x = x * np.random.default_rng(5).choice(np.array([1, 2, 4], np.float32), x.shape)
    assert same_bits(event_convolve(x, weights, conv, graded=True, together=2, fused=True), convolve(x, weights, conv))


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize(
    "conv",
    [
        Convolution(2, 130, 4, 5, 20, (3, 3), padding=(1, 1, 1, 1)),
        Convolution(1, 300, 3, 2, 9, (3, 2), strides=(2, 1), padding=(2, 0, 1, 1), dilation=(2, 1)),
        Convolution(1, 300, 2, 2, 9, (1, 1)),
    ],
    ids=["columns", "channels", "pixels"],
)
def test_a_block_of_all_windows_before_the_next_has_the_same_bits(conv: Convolution, graded: bool) -> None:
    """Walking block by block, as large weights want it, keeps the order of additions of every window."""
    assert conv.has_row_blocks
    x, weights = _data(conv, 0.3, graded, 3)
    assert same_bits(event_convolve(x, weights, conv, graded=graded, tile=8, by_block=True), convolve(x, weights, conv))


@pytest.mark.parametrize(
    ("storage", "graded", "together"),
    [(FLOAT16, False, 1), (FLOAT16, True, 3), (INT8, True, 1), (INT8, False, 3)],  # every pair of two
    ids=["float16-spikes-1", "float16-graded-3", "int8-graded-1", "int8-spikes-3"],
)
def test_stored_weights_are_widened_and_scaled_once(storage: Storage, graded: bool, together: int) -> None:
    """float16 weights count as float32; sums of int8 weights, over two blocks here, are scaled when they are there."""
    conv = Convolution(1, 12, 7, 8, 20, (5, 5), padding=(2, 2, 2, 2))
    x, weights = _data(conv, 0.4, graded, 1)
    stored = store(matrix(weights), storage)
    values = stored.values.astype(np.float32).T.reshape(weights.shape)
    expected = convolve(x, values, conv)
    if stored.scales is not None:
        expected = stored.scales[0][:, None, None] * expected
    assert same_bits(event_convolve(x, weights, conv, graded=graded, together=together, storage=storage), expected)


def test_a_block_of_the_largest_integers_does_not_overflow() -> None:
    """256 weights of 127 make 32512, the most an int16 sum has to hold."""
    conv = Convolution(1, 256, 1, 3, 8, (1, 3), padding=(0, 1, 0, 1))
    weights = np.full((8, 256, 1, 3), 127, np.float32)
    x = np.ones((1, 256, 1, 3), np.float32)
    result = event_convolve(x, weights, conv, graded=False, storage=INT8)
    assert result.ravel().tolist() == [2 * 256 * 127.0, 3 * 256 * 127.0, 2 * 256 * 127.0] * 8


@pytest.mark.parametrize("rows", [3, 4])
@pytest.mark.parametrize("odd", [np.inf, np.nan])
def test_an_infinite_element_reaches_only_its_own_windows(odd: float, rows: int) -> None:
    """Windows walked together do not see each other's elements: NaN appears where a window holds one, nowhere else."""
    conv = Convolution(2, 2, 8, 9, 5, (rows, 3))
    assert conv.has_strips == (rows > 3)
    x, weights = _data(conv, 0.3, True, 2)
    x[1, 1, 3, 4] = odd
    with np.errstate(invalid="ignore"):
        expected = convolve(x, weights, conv)
    assert np.isfinite(expected).mean() > 0.5
    assert same_bits(event_convolve(x, weights, conv, graded=True, together=4), expected)


def test_windows_go_together_only_where_a_row_is_one_stretch() -> None:
    """With dilation, groups, or rows of more than one block, each window is walked alone."""
    assert most_together(Convolution(1, 2, 34, 34, 12, (5, 5)), 128) == 8
    assert most_together(Convolution(1, 2, 34, 34, 60, (5, 5)), 128) == 2
    assert most_together(Convolution(1, 2, 34, 34, 300, (5, 5)), 128) == 1
    assert most_together(Convolution(1, 2, 5, 7, 12, (5, 5)), 128) == 3
    assert most_together(Convolution(1, 2, 34, 34, 12, (5, 5), dilation=(1, 2)), 128) == 1
    assert most_together(Convolution(1, 2, 34, 34, 12, (5, 5), groups=2), 128) == 1
    assert most_together(Convolution(1, 60, 34, 34, 12, (5, 5)), 128) == 1


@pytest.mark.guard
@pytest.mark.parametrize("target", [X86_64_V3, CORTEX_A72], ids=["x86-64-v3", "cortex-a72"])
@pytest.mark.parametrize("graded", [False, True])
def test_code_needs_nothing_and_fuses_nothing(target: dict[str, object], graded: bool) -> None:
    """No call, no fused product, whatever the weights are stored in.

    A guard: slow code computes the same numbers, and a fused product shows on other processors.
    """
    conv = Convolution(1, 12, 15, 15, 32, (5, 5), padding=(1, 1, 1, 1))
    for storage in (FLOAT32, FLOAT16, INT8):
        code = assembly(event_conv(conv, graded=graded, together=2, storage=storage), target)
        assert "call" not in code
        assert "\tbl\t" not in code
        assert not FUSED.search(code)
