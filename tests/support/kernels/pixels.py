"""The list of active elements of an image, pixel by pixel, as the kernels write it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from astroedge.targets.kernels.convolutions.active_pixels import active_pixels, bit_table
from astroedge.targets.kernels.convolutions.pixel_lists import PixelLists
from astroedge.targets.kernels.convolutions.pixel_masks import pixel_masks
from tests.support.kernels.harness import NATIVE, run


class Listed(NamedTuple):
    """What the kernels wrote, a row for each image; `values` is empty for lists without them."""

    indices: np.ndarray
    starts: np.ndarray
    values: np.ndarray
    count: int


def list_pixels(
    x: np.ndarray, lists: PixelLists, *, values: bool, target: dict[str, Any] = NATIVE, counter: int = 0
) -> Listed:
    """x [batch, channels, pixels] through both kernels; what they need not write is filled with −1."""
    masks = run(pixel_masks(lists), [x.ravel()], [np.full(lists.masks_size, 255, np.uint8)], target)[0]
    outputs = [np.full(lists.indices_size, -1, np.int32), np.full(lists.batch * lists.image_starts, -1, np.int32)]
    outputs += [np.full(lists.values_size, -1, np.float32)] if values else []
    inputs = [*([x.ravel()] if values else []), masks, bit_table()]
    made = run(active_pixels(lists, values=values), inputs, [*outputs, np.array([counter], np.int64)], target)
    kept = made[2][: lists.size].reshape(lists.batch, -1) if values else np.zeros((lists.batch, 0), np.float32)
    return Listed(
        made[0][: lists.size].reshape(lists.batch, -1), made[1].reshape(lists.batch, -1), kept, int(made[-1][0])
    )
