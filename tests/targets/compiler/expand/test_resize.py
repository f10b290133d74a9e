"""Resizing gives what ONNX Runtime gives; so do regions of an image."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.support.node_forms import given_and_expected, node, step_of_nodes

RNG = np.random.default_rng(0)
NONE = np.array([], np.float32)
FEEDS = {
    "image": RNG.normal(size=(1, 2, 6, 5)).astype(np.float32),
    "line": RNG.normal(size=(1, 2, 11)).astype(np.float32),
    "volume": RNG.normal(size=(1, 1, 4, 5, 3)).astype(np.float32),
    "bytes": RNG.integers(0, 255, (1, 2, 6, 5)).astype(np.uint8),
    "flat": np.full((1, 1, 4, 4), 1000, np.float32),
}
MODES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")
REGION = np.array([0, 0, 0.2, -0.3, 1, 1, 0.8, 1.2], np.float32)
BOXES = np.array([[0, 0, 5, 4], [1.3, 2.2, 4, 8.5]], np.float32)


def _scaled(*factors: float, value: str = "image", **attributes: Any) -> tuple[Any, ...]:
    return node("Resize", value, NONE, np.array(factors, np.float32), **attributes)


def _sized(*sizes: int, value: str = "image", region: Any = NONE, **attributes: Any) -> tuple[Any, ...]:
    return node("Resize", value, region, NONE, np.array(sizes), **attributes)


EXACT = [
    *(_scaled(1, 1, 1.7, 2.5, coordinate_transformation_mode=mode) for mode in MODES),
    _scaled(1, 1, 0.6, 0.5, nearest_mode="ceil"),
    _scaled(1, 1, 1.7, 2.5, nearest_mode="round_prefer_ceil", value="bytes"),
    _sized(1, 1, 7, 5, 6, value="volume", nearest_mode="floor"),
    _sized(1, 2, 12, 3, coordinate_transformation_mode="tf_half_pixel_for_nn"),
    _sized(1, 2, 4, 7, region=REGION, coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=7.0),
]
ROUNDED = [
    *(_sized(1, 2, 3, 7, mode="linear", coordinate_transformation_mode=mode) for mode in MODES),
    *(_scaled(0.6, 0.55, mode=mode, axes=[2, 3], antialias=1) for mode in ("linear", "cubic")),
    _scaled(1, 1, 0.6, 1.55, mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5),
    _sized(3, 9, mode="cubic", axes=[3, 2], keep_aspect_ratio_policy="not_larger"),
    _sized(1, 2, 30, value="line", mode="linear"),
    _sized(1, 2, 4, 7, region=REGION, mode="linear", coordinate_transformation_mode="tf_crop_and_resize"),
    _scaled(1, 1, 2, 2, value="flat", mode="cubic", coordinate_transformation_mode="align_corners"),
    node("RoiAlign", "image", BOXES, np.array([0, 0]), output_height=2, output_width=3),
    node("RoiAlign", "image", BOXES, np.array([0, 0]), sampling_ratio=2, spatial_scale=0.7, mode="max"),
]


def test_every_form_gives_what_onnx_runtime_gives() -> None:
    """Neighbours are picked bit by bit; what is interpolated differs in the last places, and a flat image stays flat.

    Weights that are rounded on the way add up to 1.0000003.
    """
    given, expected = given_and_expected(step_of_nodes([*EXACT, *ROUNDED], FEEDS), FEEDS)
    for name, array in expected.items():
        if int(name[1:].partition("_")[0]) < len(EXACT):
            np.testing.assert_array_equal(given[name], array, err_msg=name)
        else:
            np.testing.assert_allclose(given[name], array, rtol=1e-5, atol=1e-6, err_msg=name)
    flat = next(array for array in given.values() if array.shape == (1, 1, 8, 8))
    np.testing.assert_allclose(flat, 1000, rtol=0, atol=2.5e-4)
