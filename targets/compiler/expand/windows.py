"""Which elements of an image each window of a pooling sees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, prod
from typing import Any

import numpy as np

from astroedge.targets.compiler.expand.expansion import Call

Array = np.ndarray[Any, np.dtype[Any]]
Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Window:
    """How windows lie on an image: one number an axis, in elements. `begins` and `ends` are paddings."""

    kernel: Sizes
    strides: Sizes
    dilations: Sizes
    begins: Sizes
    ends: Sizes
    rounds_up: bool
    auto: str

    @classmethod
    def of(cls, call: Call, kernel: Sizes | None = None) -> Window:
        """The windows that a call asks for; `kernel` where it is not an attribute."""
        options = call.options
        kernel = kernel or tuple(options["kernel_shape"])
        ones, pads = [1] * len(kernel), options.get("pads", [0] * 2 * len(kernel))
        return cls(
            kernel,
            tuple(options.get("strides", ones)),
            tuple(options.get("dilations", ones)),
            tuple(pads[: len(kernel)]),
            tuple(pads[len(kernel) :]),
            bool(options.get("ceil_mode", 0)),
            options.get("auto_pad", b"NOTSET").decode(),
        )

    def unpooled(self, extents: Sizes) -> list[int]:
        """The size of the image of which `extents` windows were taken."""
        numbers = zip(extents, self.strides, self.kernel, self.begins, self.ends, strict=True)
        return [(extent - 1) * stride + taps - begin - end for extent, stride, taps, begin, end in numbers]

    def counts(self, image: Sizes) -> list[int]:
        """How many windows there are on each axis."""
        result = []
        for axis, extent in enumerate(image):
            span, stride = self._span(axis), self.strides[axis]
            begin, end = self.begins[axis], self.ends[axis]
            if self.auto.startswith("SAME"):
                count = ceil(extent / stride)
            else:
                rest = extent + begin + end - span
                count = (ceil(rest / stride) if self.rounds_up else rest // stride) + 1
                if self.rounds_up and (count - 1) * stride >= extent + begin:
                    count -= 1  # a window that would begin behind the image
            result.append(count)
        return result

    def padded(self, image: Sizes) -> Window:
        """The same with its paddings in numbers where the call says "same" or "valid"."""
        if self.auto == "NOTSET":
            return self
        totals = [0] * len(image)
        if self.auto.startswith("SAME"):
            counts = zip(self.counts(image), self.strides, image, strict=True)
            totals = [
                max(0, (count - 1) * stride + self._span(axis) - extent)
                for axis, (count, stride, extent) in enumerate(counts)
            ]
        smaller, larger = tuple(total // 2 for total in totals), tuple(total - total // 2 for total in totals)
        begins, ends = (larger, smaller) if self.auto == "SAME_LOWER" else (smaller, larger)
        return replace(self, begins=begins, ends=ends)

    def places(self, image: Sizes) -> tuple[Array, Array, Array]:
        """Arrays [windows, taps]: the place in the flat image, whether it is one, whether it is at least padding.

        Places outside the image are 0.
        """
        window = self.padded(image)
        counts, rank = window.counts(image), len(image)
        flat, inside, padding = np.zeros([1] * 2 * rank, np.int64), np.array(True), np.array(True)
        for axis, extent in enumerate(image):
            begin, end = window.begins[axis], window.ends[axis]
            first = np.arange(counts[axis])[:, None] * window.strides[axis] - begin
            place = first + np.arange(window.kernel[axis])[None, :] * window.dilations[axis]
            along = [1] * 2 * rank
            along[axis], along[rank + axis] = place.shape
            place = place.reshape(along)
            inside = inside & (place >= 0) & (place < extent)
            padding = padding & (place < extent + end)
            flat = flat + place * prod(image[axis + 1 :])
        size = (prod(counts), prod(window.kernel))
        return np.where(inside, flat, 0).reshape(size), inside.reshape(size), padding.reshape(size)

    def _span(self, axis: int) -> int:
        return (self.kernel[axis] - 1) * self.dilations[axis] + 1
