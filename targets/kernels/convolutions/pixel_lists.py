"""How the active elements of images are listed: by pixels, in a pixel by cells of channels, in a cell by bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from tvm import tirx

from astroedge.targets.tir_builder import Expression, loop

BITS = 8
"""Elements that a byte tells of."""
LANES = 16
"""Pixels whose bytes are made together."""


@dataclass(frozen=True)
class PixelLists:
    """The images whose active elements are listed: `batch` of `channels` × `pixels`, channels first.

    The list can be entered at every pixel and, in a pixel, at every `cell`-th channel.
    """

    batch: int
    channels: int
    pixels: int
    cell: int

    @property
    def size(self) -> int:
        """Elements of all images."""
        return self.batch * self.channels * self.pixels

    @property
    def cells(self) -> int:
        """Cells of a pixel."""
        return ceil(self.channels / self.cell)

    @property
    def together(self) -> int:
        """How many pixels share a byte; a power of 2 above 1 only if a pixel is one cell of at most 4 channels."""
        return {1: 8, 2: 4, 3: 2, 4: 2}.get(self.channels, 1) if self.cells == 1 else 1

    @property
    def cell_bytes(self) -> int:
        """Bytes of a cell of one pixel, or of the pixels that share one."""
        return ceil(self.cell / BITS)

    @property
    def masks_size(self) -> int:
        """Elements of `masks`: for every 16 pixels, for each of a pixel's bytes, 16, or fewer where they are shared."""
        return self.batch * ceil(self.pixels / LANES) * LANES * self.cells * self.cell_bytes // self.together

    @property
    def indices_size(self) -> int:
        """Elements of `indices`: the last look-up may write beyond the list, and readers read whole vectors."""
        return self.size + LANES

    @property
    def values_size(self) -> int:
        """Elements of `values`, for readers of whole vectors."""
        return self.size + LANES

    @property
    def image_starts(self) -> int:
        """Elements of `starts` for one image."""
        return self.pixels * self.cells + 2


def cells(lists: PixelLists) -> Iterator[tuple[Expression, Expression, int]]:
    """Emit a loop over the whole cells of a pixel, then the narrower last one; yields number, first channel, width."""
    whole, rest = divmod(lists.channels, lists.cell)
    with loop(whole) as cell:
        yield cell, cell * lists.cell, lists.cell
    if rest:
        yield tirx.const(whole, "int32"), tirx.const(whole * lists.cell, "int32"), rest


def cell_bytes(width: int) -> Iterator[tuple[Expression, int]]:
    """Emit a loop over the whole bytes of a cell, then the rest; yields number and channels of each."""
    whole, rest = divmod(width, BITS)
    if whole:
        with loop(whole) as byte:
            yield byte, BITS
    if rest:
        yield tirx.const(whole, "int32"), rest
