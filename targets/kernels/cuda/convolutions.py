"""Convolutions by the CUDA C library: event-driven, dense, and dense for groups of few outputs, from plain images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tvm import tirx

from astroedge.targets.cuda.library_call import FIRST_BLOCK, library_call
from astroedge.targets.kernels.convolutions.convolution import Convolution, weights_by_tap
from astroedge.targets.kernels.cuda.products import THREADS, Array, element_dtype
from astroedge.targets.precision.storage import FLOAT32, Storage
from astroedge.targets.precision.weight_format import StoredMatrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEW_OUTPUTS = 4
"""Outputs of a group, fewer of which leave most threads of a warp without one."""

_LANES = 32
_PIXELS = 8  # AE_PIXELS of the library
_FAR = 2**15  # rows or columns of a window, which are kept in 16 bits


def pack_taps(conv: Convolution) -> NDArray[np.int32]:
    """The flat array `taps`: how far each tap lies from its window's first element, and its rows << 16 | columns."""
    rows, columns, channels = np.meshgrid(
        np.arange(conv.kernel[0]) * conv.dilation[0],
        np.arange(conv.kernel[1]) * conv.dilation[1],
        np.arange(conv.group_inputs),
        indexing="ij",
    )
    offsets = channels * conv.pixels + rows * conv.width + columns
    return np.stack([offsets, rows << 16 | columns], axis=-1).astype(np.int32).ravel()


def pack_windows(stored: StoredMatrix, conv: Convolution) -> tuple[NDArray[np.generic], NDArray[np.float32] | None]:
    """The flat arrays `weights` [group, tap, output] and `scales` of W[taps, outputs], taps in the graph's order."""
    data = np.ascontiguousarray(weights_by_tap(stored.values, conv)).ravel()
    scales = None if stored.scales is None else stored.scales[0]
    return (data.view(np.uint16) if stored.storage.is_half else data), scales


def has_near_taps(conv: Convolution) -> bool:
    """Whether `pack_taps` can tell where every tap lies."""
    return max((extent - 1) * step for extent, step in zip(conv.kernel, conv.dilation, strict=True)) < _FAR


@dataclass(frozen=True)
class WindowForm:
    """How threads divide a convolution: by "event", "dense" or "single" windows; `each` lane has so many outputs."""

    name: str
    each: int = 0


@dataclass(frozen=True)
class WindowSums:
    """`conv` by weights in `storage`, event-driven if `skips`; `graded` as in `RowsProduct`.

    `scaled` says that the weights are integers with scales; others are whole numbers.
    """

    conv: Convolution
    graded: bool
    skips: bool
    storage: Storage = FLOAT32
    scaled: bool = False

    def form(self, blocks: int) -> WindowForm:
        """How a device divides it where `blocks` blocks of threads run at once."""
        conv = self.conv
        if not self.skips:
            return WindowForm("dense" if conv.group_outputs >= FEW_OUTPUTS else "single")
        windows = conv.batch * conv.groups * conv.out_pixels
        fitting = [each for each in (4, 2) if conv.group_outputs > _LANES * each // 2 and windows >= 4 * blocks]
        return WindowForm("event", fitting[0] if fitting else 1)

    def function(self, form: WindowForm) -> tirx.PrimFunc:
        """Kernel (images, weights, taps, [scales], y).

        - `images`: (batch·channels·pixels,) and `y`: (batch·outputs·out_pixels,) float32;
        - `weights` and `scales`: as `pack_windows` makes them; `taps`: as `pack_taps` makes it.
        """
        conv = self.conv
        arrays: list[Array] = [
            ("images", (conv.batch * conv.channels * conv.pixels,), "float32"),
            ("weights", (conv.taps * conv.outputs,), element_dtype(self.storage)),
            ("taps", (2 * conv.taps,), "int32"),
        ]
        if self.scaled:
            arrays.append(("scales", (conv.outputs,), "float32"))
        arrays.append(("y", (conv.batch * conv.outputs * conv.out_pixels,), "float32"))
        shape = f"ae_{form.name}"
        if form.each:
            shape += f"<{'true' if self.graded else 'false'}, {form.each}>"
        name = f"ae_convolve<ae_{self.storage.name}, {shape}>"
        return library_call(
            "event_conv" if self.skips else "dense_conv",
            name,
            arrays,
            (FIRST_BLOCK, *self._sizes()),
            self._blocks(form),
        )

    def _blocks(self, form: WindowForm) -> int:
        """Blocks that find something to do: a warp has a task, where windows are single a thread."""
        conv = self.conv
        if form.name == "single":
            return -(-conv.batch * conv.outputs * conv.out_pixels // THREADS)
        tiles = -(-conv.group_outputs // (_LANES * max(form.each, 1)))
        strips = conv.out_pixels if self.skips else -(-conv.out_pixels // _PIXELS)
        return -(-conv.batch * conv.groups * tiles * strips * _LANES // THREADS)

    def _sizes(self) -> tuple[int, ...]:
        """The fields of the library's `ae_conv`."""
        conv, cut = self.conv, self.conv.blocking
        line = conv.kernel[1] * conv.group_inputs
        if (cut.columns, cut.channels) == (conv.kernel[1], conv.group_inputs):
            length, period = cut.rows * line, conv.taps
        elif cut.channels == conv.group_inputs:
            length, period = cut.columns * conv.group_inputs, line
        else:
            length, period = cut.channels, conv.group_inputs
        return (
            *(conv.batch, conv.channels, conv.height, conv.width, conv.outputs, conv.out_height, conv.out_width),
            *(*conv.strides, *conv.padding[:2], conv.groups, conv.taps, length, period),
        )
