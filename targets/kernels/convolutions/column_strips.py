"""The active elements of an image, strip by strip: what lies above and below a few neighbouring windows.

A strip is as wide as the windows of `together` neighbouring outputs and as high as the image. Its list has whole rows
one after the other, so that several kernel rows of a window are one stretch of it: beginning another stretch costs as
much as adding many elements, because no processor foresees where it ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.convolutions.convolution import Convolution
from astroedge.targets.tir_builder import Expression, hold, independent, kernel, load, splat, store

LANES = 16


@dataclass(frozen=True)
class ColumnStrips:
    """The strips of the images of a convolution whose windows are walked `together` at a time."""

    conv: Convolution
    together: int

    @property
    def count(self) -> int:
        """Strips of an image; the last one overlaps the one before it where outputs do not divide evenly."""
        return ceil(self.conv.out_width / self.together)

    @property
    def beside(self) -> int:
        """Columns beside a window that lie in others of its strip, on either side."""
        return (self.together - 1) * self.conv.strides[1]

    @property
    def row(self) -> int:
        """What is added to an element's number in the strip from one row to the next."""
        return (self.conv.kernel[1] + 2 * self.beside) * self.conv.channels

    @property
    def length(self) -> int:
        """Elements of a strip's list; the last vector may be written beyond it."""
        return self.conv.height * (self.conv.kernel[1] + self.beside) * self.conv.channels + LANES

    @property
    def size(self) -> int:
        """Elements of all lists."""
        return self.conv.batch * self.count * self.length

    @property
    def starts_size(self) -> int:
        """Elements of `strip_starts`."""
        return self.conv.batch * self.count * (self.conv.height + 1)

    def first_column(self, strip: Expression) -> Expression:
        """The first column of the image, perhaps in the padding, that a strip reads."""
        conv = self.conv
        output = tirx.min(strip * self.together, conv.out_width - self.together)
        return output * conv.strides[1] - conv.padding[1]


def column_strips(strips: ColumnStrips, *, values: bool) -> tirx.PrimFunc:
    """Kernel ([values], indices, starts, [strip_values], elements, strip_starts): the list of every strip.

    - `indices`, `starts` and, if `values`, `values`: as `active_pixels` writes them for `conv.lists`;
    - `elements`: (strips.size,) int32: a strip's list, `strips.length` for each; an element of image row r, c places
      behind the first that the strip reads in a row, has the number r·strips.row + beside·channels + c;
    - `strip_starts`: (strips.starts_size,) int32: how many elements of a strip lie above each row, and below the last;
    - `strip_values`: (strips.size,) float32, only if `values`: the elements on the lists.
    """
    conv = strips.conv
    lists = conv.lists
    with kernel("column_strips") as built:
        sources = [built.argument("values", (lists.values_size,), "float32")] if values else []
        sources.append(built.argument("indices", (lists.indices_size,), "int32"))
        starts = built.argument("starts", (lists.batch * lists.image_starts,), "int32")
        targets = [built.argument("strip_values", (strips.size,), "float32")] if values else []
        targets.append(built.argument("elements", (strips.size,), "int32"))
        strip_starts = built.argument("strip_starts", (strips.starts_size,), "int32")
        with independent(conv.batch) as image, independent(strips.count) as strip:
            number = image * strips.count + strip
            first = strips.first_column(strip)
            edges = first, first + conv.kernel[1] + strips.beside
            ends = [tirx.min(tirx.max(column, 0), conv.width) for column in edges]
            count = tir.alloc_buffer((1,), "int32")
            tir.buffer_store(count, 0, [0])
            with tir.serial(0, conv.height) as row:
                line = image * lists.image_starts + row * conv.width
                begin, end = (hold(starts[line + column]) for column in ends)
                tir.buffer_store(strip_starts, count[0], [number * (conv.height + 1) + row])
                shift = row * strips.row + (strips.beside - row * conv.width - first) * conv.channels
                with tir.serial(0, tirx.floordiv(end - begin + LANES - 1, LANES)) as vector:
                    place = image * conv.channels * conv.pixels + begin + vector * LANES
                    target = number * strips.length + count[0] + vector * LANES
                    for source, listed in zip(sources, targets, strict=True):
                        copied = load(source, place, LANES)
                        moved = copied if "float" in str(copied.ty) else copied + splat(shift, LANES)
                        store(listed, target, LANES, moved)
                tir.buffer_store(count, count[0] + end - begin, [0])
            tir.buffer_store(strip_starts, count[0], [number * (conv.height + 1) + conv.height])
    return built.function
