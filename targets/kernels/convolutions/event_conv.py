"""A convolution that reads only the weights of the input elements that are active.

For each output pixel (or a few neighbours at a time) the active elements of its window are walked in the order of the
reduction, and the weights of each, one for every output channel, are added into registers. Nothing is scattered: sums
live in registers, and the elements of several kernel rows, or of one, are a stretch of a list.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.convolutions.column_strips import ColumnStrips
from astroedge.targets.kernels.convolutions.convolution import Convolution, weights_by_tap
from astroedge.targets.kernels.convolutions.event_windows import Listed, Walk, weights_pitch
from astroedge.targets.kernels.convolutions.tile_transpose import sums_size
from astroedge.targets.precision.storage import FLOAT32, Storage
from astroedge.targets.precision.weight_format import StoredMatrix
from astroedge.targets.tir_builder import Kernel, independent, kernel


def pack_event_conv(
    stored: StoredMatrix, conv: Convolution, together: int
) -> tuple[NDArray[np.generic], NDArray[np.float32] | None]:
    """The flat array `weights` that `event_conv` reads, of W[taps, outputs] with taps in the graph's order; its scales.

    For each group, kernel row, kernel column and input channel, the weights of the group's outputs. Where windows are
    walked together there are columns of zeros on both sides, for the elements that lie in one window and not in
    another.
    """
    ordered = weights_by_tap(stored.values, conv)
    beside = ColumnStrips(conv, together).beside
    behind = weights_pitch(conv) - conv.group_outputs
    padded = np.pad(ordered, ((0, 0), (0, 0), (beside, beside), (0, 0), (0, behind)))
    return padded.ravel(), None if stored.scales is None else stored.scales[0]


def most_together(conv: Convolution, floats: int) -> int:
    """How many neighbouring windows can be walked in one go with `floats` sums in registers, at most 8.

    One where a kernel row is more than one stretch of the list, or than one block of the reduction.
    """
    return max(1, min(8, conv.out_width, floats // weights_pitch(conv))) if conv.has_runs else 1


def weights_size(conv: Convolution, together: int) -> int:
    """Elements of the array that `pack_event_conv` makes."""
    columns = conv.kernel[1] + 2 * ColumnStrips(conv, together).beside
    return conv.groups * conv.kernel[0] * columns * conv.group_inputs * weights_pitch(conv)


def event_conv(
    conv: Convolution,
    *,
    graded: bool = False,
    together: int = 1,
    tile: int = 128,
    storage: Storage = FLOAT32,
    by_block: bool = False,
    fused: bool = False,
) -> tirx.PrimFunc:
    """Kernel ([pixels], [strips], weights, sums): `conv` of images given by their active elements.

    - pixels: [values], indices, starts as `active_pixels` writes them for `conv.lists`, if `graded` or there are no
      strips; values only if `graded`, else the elements are 1;
    - strips, if `conv.has_strips`: [strip_values], elements, strip_starts as `column_strips` writes them;
    - `weights`: from `pack_event_conv(W, conv, together)`, floats or int8, whose scales are left to `transpose_sums`;
    - `sums`: (batch·sums_size(out_pixels, outputs),) float32, channels last, as `transpose_sums` reads them.

    The windows of `together` neighbouring outputs are walked in one go, `tile` output channels at a time; `by_block`,
    where `has_row_blocks`, all windows are walked over a block before the next one, whose weights then come from memory
    once; `fused` is as in `add_product`. None of it changes a bit. int8 weights of inputs that are 0 or 1 are added in
    int16, which holds the sum of a block.
    """
    strips = ColumnStrips(conv, together)
    dtype = "int16" if storage.is_integer and not graded else "float32"
    with kernel("event_conv") as built:
        by_pixel = _pixel_lists(built, conv, graded) if graded or not conv.has_strips else None
        by_strip = _strip_lists(built, strips, graded) if conv.has_strips else None
        weights = built.argument("weights", (weights_size(conv, together),), storage.data_type)
        sums = built.argument("sums", (conv.batch * sums_size(conv.out_pixels, conv.outputs),), "float32")

        def walk(lists: Listed | None) -> Walk:
            assert lists is not None
            return Walk(strips, lists is by_strip, lists, weights, sums, tile, dtype, fused)

        with independent(conv.batch) as image:
            if by_block:
                walk(by_pixel).emit_by_block(image)
            else:
                with independent(conv.out_height) as row:
                    if by_pixel is not None and graded and together > 1:
                        # Times the zeros beside a window, an infinite element would be NaN: then each goes alone.
                        with tir.If(by_pixel.starts[(image + 1) * conv.lists.image_starts - 1] == 0):
                            with tir.Then():
                                walk(by_strip or by_pixel).emit_row(image, row, together)
                            with tir.Else():
                                walk(by_pixel).emit_row(image, row, 1)
                    else:
                        walk(by_strip or by_pixel).emit_row(image, row, together)
    return built.function


def _pixel_lists(built: Kernel, conv: Convolution, graded: bool) -> Listed:
    """The parameters with the lists of pixels."""
    lists = conv.lists
    values = built.argument("values", (lists.values_size,), "float32") if graded else None
    indices = built.argument("indices", (lists.indices_size,), "int32")
    return Listed(values, indices, built.argument("starts", (lists.batch * lists.image_starts,), "int32"))


def _strip_lists(built: Kernel, strips: ColumnStrips, graded: bool) -> Listed:
    """The parameters with the lists of strips."""
    values = built.argument("strip_values", (strips.size,), "float32") if graded else None
    elements = built.argument("elements", (strips.size,), "int32")
    return Listed(values, elements, built.argument("strip_starts", (strips.starts_size,), "int32"))
