"""Placeholders of convolutions → kernels: event-driven where few inputs fire, dense elsewhere.

The active elements of an image are listed once, pixel by pixel, for every convolution that reads it. Both kinds of
kernel add in one order (kernels/convolutions/convolution.py), so the choice changes the time of a step and never its
bits.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from astroedge.bundle.manifest import DESPITE, NO_SPIKES
from astroedge.step.sparsity import Sparsity
from astroedge.targets.boards.board_file import Target
from astroedge.targets.compiler.lower.read_convolution import ConvolutionProduct
from astroedge.targets.compiler.program.step_program import KernelCall, Value
from astroedge.targets.compiler.select.chosen_convolution import ChosenConvolution, sum_cycles
from astroedge.targets.compiler.select.convolution_cost import (
    BYTES_A_CYCLE,
    channel_cost,
    dense_cost,
    event_cost,
    plane_cost,
    windows_together,
)
from astroedge.targets.compiler.select.weight_values import WeightValues
from astroedge.targets.kernels.convolutions.active_pixels import active_pixels, bit_table
from astroedge.targets.kernels.convolutions.channel_conv import channel_conv, channel_tile, pack_channel_conv
from astroedge.targets.kernels.convolutions.column_strips import ColumnStrips, column_strips
from astroedge.targets.kernels.convolutions.convolution import Convolution
from astroedge.targets.kernels.convolutions.dense_conv import (
    conv_tile,
    copy_from_runs,
    copy_to_planes,
    dense_conv,
    pack_dense_conv,
    planes_size,
    runs_size,
)
from astroedge.targets.kernels.convolutions.event_conv import event_conv, pack_event_conv
from astroedge.targets.kernels.convolutions.expand_maps import widen
from astroedge.targets.kernels.convolutions.pixel_copy import PixelCopy, copy_to_pixels
from astroedge.targets.kernels.convolutions.pixel_lists import PixelLists
from astroedge.targets.kernels.convolutions.pixel_masks import pixel_masks
from astroedge.targets.kernels.convolutions.row_conv import has_rows, reads_images, row_conv
from astroedge.targets.kernels.convolutions.tile_transpose import sums_size, transpose_sums
from astroedge.targets.kernels.products.event_gemv import event_tile
from astroedge.targets.precision.storage import FLOAT32, Storage
from astroedge.targets.tir_builder import fuses

WIDEN_USES = 4  # how often a weight must be read in a tick for widening all of them first to pay
LARGEST_WEIGHT = 2.0**100  # times a power of two that counts as exact it is still far from infinite
LARGEST = 2**30  # indices of weights, padding included, must fit an int32


class ConvolutionChooser:
    """Appends the kernels of convolutions to `calls`, keeping the lists already made.

    `count` gives the value that counts the active elements of an image, which has that sparsity and is first listed for
    the convolution of that name.
    """

    def __init__(
        self,
        target: Target,
        kernels: str,
        weights: WeightValues,
        calls: list[KernelCall],
        count: Callable[[Value, Sparsity, str], Value],
    ) -> None:
        self.target = target
        self.kernels = kernels
        self.weights = weights
        self.calls = calls
        self.count = count
        self.lists: dict[tuple[Value, PixelLists], tuple[Value, ...]] = {}
        self.strips: dict[tuple[Value, ColumnStrips], tuple[Value, ...]] = {}
        self.copies: dict[tuple[Value, PixelCopy], Value] = {}
        self.widened: dict[Value, Value] = {}
        self.table = _table()

    def add(self, call: KernelCall, product: ConvolutionProduct) -> ChosenConvolution:
        """Append the kernels that stand for `call`, which reads images and W[taps, outputs].

        Raises CompileError for more inputs than exact integer sums allow.
        """
        matrix = call.reads[1]
        self.weights.storage(matrix).check_rows(product.shape.taps)
        kernel, reason = self._decide(product, matrix)
        add = self._add_event if kernel == "event" else self._add_dense(product, matrix)
        nbytes = sum(value.nbytes for value in add(product, call))
        assert matrix.data is not None
        cycles = sum_cycles(
            kernel, product, self.target, self._adds_integers(product, matrix), self._fuses(product, matrix)
        )
        return ChosenConvolution(kernel, reason, nbytes, int(np.count_nonzero(matrix.data)), cycles)

    def _decide(self, product: ConvolutionProduct, matrix: Value) -> tuple[str, str]:
        """The kernel of a convolution, and why."""
        conv, sparsity = product.shape, product.sparsity
        if sparsity is None:
            return "dense", NO_SPIKES
        fires = f"{sparsity.source} fires at {sparsity.rate:.1%}"
        if matrix.data is None or not np.isfinite(matrix.data).all():
            return "dense", f"{fires}{DESPITE}a silent input times an infinite weight is NaN"
        if not conv.is_listable or conv.batch * conv.channels * conv.pixels * max(conv.outputs, 8) >= LARGEST:
            return "dense", f"{fires}{DESPITE}its active elements have no list of the form that is needed"
        if self.kernels in ("event", "dense"):
            return self.kernels, f"asked for; {fires}"
        share = self._event_cost(product, matrix) / dense_cost(conv, self.target, self._fuses(product, matrix))
        if share > 1:
            return "dense", f"{fires}, at which lists and borders cost more than they save"
        return "event", f"{fires}: about {share:.0%} of the dense kernel's time"

    def _fuses(self, product: ConvolutionProduct, matrix: Value) -> bool:
        """Whether kernels may multiply and add in one instruction: where no product loses a bit or is infinite."""
        if product.sparsity is None or not product.sparsity.exact or matrix.data is None or not fuses(self.target):
            return False
        return product.sparsity.binary or float(np.abs(matrix.data).max()) < LARGEST_WEIGHT

    def _adds_integers(self, product: ConvolutionProduct, matrix: Value) -> bool:
        """Whether inputs that are 0 or 1 meet integer weights."""
        return bool(product.sparsity and product.sparsity.binary) and self.weights.storage(matrix).is_integer

    def _event_cost(self, product: ConvolutionProduct, matrix: Value) -> float:
        """Cycles of the event-driven kernels."""
        assert product.sparsity is not None
        rate, integer = product.sparsity.rate, self._adds_integers(product, matrix)
        together = windows_together(product.shape, rate, self.target, integer)
        return event_cost(product.shape, rate, together, self.target, integer)

    def _add_event(self, product: ConvolutionProduct, call: KernelCall) -> tuple[Value, ...]:
        """The lists of active elements (made once), the sums, and the sums transposed; returns what is stored."""
        conv, sparsity, (images, matrix) = product.shape, product.sparsity, call.reads
        assert sparsity is not None
        graded, storage = not sparsity.binary, self.weights.storage(matrix)
        together = windows_together(conv, sparsity.rate, self.target, self._adds_integers(product, matrix))
        stored = self.weights.packed(
            product.name,
            matrix,
            f"event {together} {_taps(conv)} {conv.strides[1]}",
            lambda weights: pack_event_conv(weights, conv, together),
        )
        weights = stored[0]
        if (graded or not storage.is_integer) and sparsity.rate * conv.batch * conv.out_pixels >= WIDEN_USES:
            weights, storage = self._widen(weights, storage), FLOAT32
        tile = event_tile(self.target, graded, storage)
        by_block = conv.has_row_blocks and weights.nbytes > self.target.l2_bytes // 2
        pixels = self._lists(images, conv.lists, sparsity, product.name)
        strips = self._strips(images, ColumnStrips(conv, together), pixels) if conv.has_strips else ()
        lists = (*(pixels if graded or not strips else ()), *strips)
        function = event_conv(
            conv,
            graded=graded,
            together=together,
            tile=tile,
            storage=storage,
            by_block=by_block,
            fused=self._fuses(product, matrix),
        )
        sums = _array(f"sums.{product.name}", conv.batch * sums_size(conv.out_pixels, conv.outputs))
        touched = round(self._event_cost(product, matrix) * BYTES_A_CYCLE)
        self.calls.append(KernelCall(function, (*lists, weights), (sums,), "event-conv", ("conv",), touched=touched))
        self._transpose(conv, sums, stored, call)
        return stored

    def _add_dense(
        self, product: ConvolutionProduct, matrix: Value
    ) -> Callable[[ConvolutionProduct, KernelCall], tuple[Value, ...]]:
        """What appends the better dense kernels."""
        conv, fused = product.shape, self._fuses(product, matrix)
        by_channels = conv.groups == 1 and (
            channel_cost(conv, self.target, fused) < plane_cost(conv, self.target, fused)
        )
        return self._add_channels if by_channels else self._add_planes

    def _add_channels(self, product: ConvolutionProduct, call: KernelCall) -> tuple[Value, ...]:
        """The images with the channels last, the sums, and the sums transposed; returns what is stored."""
        conv, (images, matrix) = product.shape, call.reads
        tile, layout = channel_tile(conv, self.target), PixelCopy(conv)
        stored = self.weights.packed(
            product.name,
            matrix,
            f"channels {tile} {_taps(conv)}",
            lambda weights: pack_channel_conv(weights, conv, tile),
        )
        weights = self._widen(stored[0], self.weights.storage(matrix))
        if (images, layout) not in self.copies:
            copy = self.copies[images, layout] = _array(f"pixels.{product.name}", layout.size)
            self.calls.append(KernelCall(copy_to_pixels(layout), (images,), (copy,), "pad", ("conv",)))
        pixels = self.copies[images, layout]
        fused = self._fuses(product, matrix)
        touched = round(channel_cost(conv, self.target, fused) * BYTES_A_CYCLE)
        sums = _array(f"sums.{product.name}", conv.batch * sums_size(conv.out_pixels, conv.outputs))
        function = channel_conv(conv, tile, fused=fused)
        self.calls.append(KernelCall(function, (pixels, weights), (sums,), "dense-conv", ("conv",), touched=touched))
        self._transpose(conv, sums, stored, call)
        return stored

    def _transpose(self, conv: Convolution, sums: Value, stored: tuple[Value, ...], call: KernelCall) -> None:
        """Append what makes the result of sums with the channels last."""
        function = transpose_sums(conv.out_pixels, conv.outputs, scaled=len(stored) > 1, batch=conv.batch)
        self.calls.append(KernelCall(function, (sums, *stored[1:]), call.writes, "transpose", ("conv",)))

    def _add_planes(self, product: ConvolutionProduct, call: KernelCall) -> tuple[Value, ...]:
        """The padded copy of the images, then the result, or its sums and the copy of these; returns what is stored."""
        conv, (images, matrix) = product.shape, call.reads
        tile = conv_tile(conv, self.target)
        stored = self.weights.packed(
            product.name,
            matrix,
            f"dense {tile} {_taps(conv)}",
            lambda weights: pack_dense_conv(weights, conv, tile),
        )
        weights, scaled = self._widen(stored[0], self.weights.storage(matrix)), len(stored) > 1
        planes, fused = images, self._fuses(product, matrix)
        if not (has_rows(conv) and reads_images(conv)):
            planes = _array(f"planes.{product.name}", planes_size(conv))
            self.calls.append(KernelCall(copy_to_planes(conv), (images,), (planes,), "pad", ("conv",)))
        touched = round(plane_cost(conv, self.target, fused) * BYTES_A_CYCLE)
        if has_rows(conv):
            function, reads = row_conv(conv, tile, scaled=scaled, fused=fused), (planes, weights, *stored[1:])
            self.calls.append(KernelCall(function, reads, call.writes, "dense-conv", ("conv",), touched=touched))
            return stored
        runs = _array(f"runs.{product.name}", runs_size(conv))
        function, unpad = dense_conv(conv, tile, fused=fused), copy_from_runs(conv, scaled=scaled)
        self.calls += [
            KernelCall(function, (planes, weights), (runs,), "dense-conv", ("conv",), touched=touched),
            KernelCall(unpad, (runs, *stored[1:]), call.writes, "unpad", ("conv",)),
        ]
        return stored

    def _widen(self, weights: Value, storage: Storage) -> Value:
        """Stored weights in float32, made anew in every tick: they are read many times in it."""
        if storage.is_plain:
            return weights
        if weights not in self.widened:
            size = prod(weights.shape)
            self.widened[weights] = _array(f"{weights.name}.wide", size)
            function = widen(size, storage)
            self.calls.append(KernelCall(function, (weights,), (self.widened[weights],), "widen", ("conv",)))
        return self.widened[weights]

    def _lists(self, images: Value, lists: PixelLists, sparsity: Sparsity, reader: str) -> tuple[Value, ...]:
        """What `event_conv` reads of the images: [values], indices and starts, made at their first use."""
        key = (images, lists)
        if key not in self.lists:
            graded = not sparsity.binary
            masks = _array(f"masks.{images.name}", lists.masks_size, "uint8")
            indices = _array(f"active.{images.name}", lists.indices_size, "int32")
            starts = _array(f"starts.{images.name}", lists.batch * lists.image_starts, "int32")
            values = (_array(f"values.{images.name}", lists.values_size),) if graded else ()
            self.calls.append(KernelCall(pixel_masks(lists), (images,), (masks,), "masks", ("active_list",)))
            reads = (*((images,) if graded else ()), masks, self.table)
            writes = (indices, starts, *values, self.count(images, sparsity, reader))
            function = active_pixels(lists, values=graded)
            self.calls.append(KernelCall(function, reads, writes, "active-list", ("active_list",)))
            self.lists[key] = (*values, indices, starts)
        return self.lists[key]

    def _strips(self, images: Value, strips: ColumnStrips, pixels: tuple[Value, ...]) -> tuple[Value, ...]:
        """The lists of strips, [values], elements and starts, made of those of pixels at their first use."""
        key = (images, strips)
        if key not in self.strips:
            graded = len(pixels) > 2
            values = (_array(f"strip_values.{images.name}", strips.size),) if graded else ()
            elements = _array(f"strip.{images.name}", strips.size, "int32")
            starts = _array(f"strip_starts.{images.name}", strips.starts_size, "int32")
            function = column_strips(strips, values=graded)
            self.strips[key] = (*values, elements, starts)
            self.calls.append(KernelCall(function, pixels, self.strips[key], "strips", ("active_list",)))
        return self.strips[key]


def _taps(conv: Convolution) -> str:
    """What the rows of a weight matrix stand for, which convolutions that share the matrix may see differently."""
    return f"{conv.groups} {conv.kernel}"


def _table() -> Value:
    data = bit_table()
    return Value("bit_table", data.shape, str(data.dtype), "weight", data)


def _array(name: str, size: int, dtype: str = "float32") -> Value:
    return Value(name, (size,), dtype, "computed")
