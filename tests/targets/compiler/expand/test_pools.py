"""Pooling gives what ONNX Runtime gives, in the forms that are written as gathered windows."""

from __future__ import annotations

import numpy as np

from tests.support.node_forms import given_and_expected, node, step_of_nodes

RNG = np.random.default_rng(0)
FEEDS = {
    "line": RNG.normal(size=(2, 3, 20)).astype(np.float32),
    "image": RNG.normal(size=(2, 3, 7, 9)).astype(np.float32),
    "volume": RNG.normal(size=(1, 2, 5, 6, 7)).astype(np.float32),
    "bytes": RNG.integers(0, 255, (1, 2, 8, 8)).astype(np.uint8),
    "places": (np.arange(20) * 2 + 40 * np.arange(6)[:, None]).reshape(2, 3, 20),
    "columns": RNG.normal(size=(1, 12, 18)).astype(np.float32),
}
SQUARE = {"kernel_shape": [3, 3], "strides": [2, 2]}
PADDED = {**SQUARE, "pads": [1, 1, 1, 1]}
CUBE = {"kernel_shape": [2, 2, 2]}
EXACT = [
    node("MaxPool", "image", outputs=2, kernel_shape=[2, 3]),
    node("MaxPool", "image", outputs=2, storage_order=1, **PADDED),
    node("MaxPool", "image", ceil_mode=1, dilations=[2, 1], **SQUARE),
    node("MaxPool", "bytes", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    node("MaxPool", "image", auto_pad="SAME_LOWER", **SQUARE),
    node("MaxPool", "line", outputs=2, kernel_shape=[4], strides=[3], ceil_mode=1),
    node("MaxPool", "volume", auto_pad="SAME_UPPER", **CUBE),
    node("MaxUnpool", "line", "places", kernel_shape=[2], strides=[2]),
]
ROUNDED = [
    node("AveragePool", "image", ceil_mode=1, count_include_pad=1, **PADDED),
    node("AveragePool", "image", ceil_mode=1, **PADDED),
    node("AveragePool", "image", kernel_shape=[2, 2], dilations=[2, 2]),
    node("AveragePool", "volume", pads=[0, 0, 1, 1, 1, 1], count_include_pad=1, **CUBE),
    node("AveragePool", "volume", auto_pad="SAME_UPPER", **CUBE),
    node("LpPool", "image", kernel_shape=[2, 2], p=1),
    node("LpPool", "image", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1]),
    node("LpPool", "line", kernel_shape=[3], strides=[2], ceil_mode=1),
    node("GlobalLpPool", "volume", p=1),
    node("Col2Im", "columns", np.array([5, 5]), np.array([2, 3]), pads=[1, 0, 1, 0]),
]


def test_every_form_gives_what_onnx_runtime_gives() -> None:
    """Extremes and their places bit by bit, sums to the last places."""
    given, expected = given_and_expected(step_of_nodes([*EXACT, *ROUNDED], FEEDS), FEEDS)
    for name, array in expected.items():
        if int(name[1:].partition("_")[0]) < len(EXACT):
            np.testing.assert_array_equal(given[name], array, err_msg=name)
        else:
            np.testing.assert_allclose(given[name], array, rtol=1e-5, atol=1e-6, err_msg=name)


def test_the_place_of_a_maximum_lies_in_the_image() -> None:
    """Where all elements of a padded window are −∞, or the smallest byte, the place is that of its first element."""
    options = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}
    feeds = {"image": np.full((1, 1, 5, 5), -np.inf, np.float32), "bytes": np.zeros((1, 1, 5, 5), np.uint8)}
    nodes = [node("MaxPool", name, outputs=2, **options) for name in feeds]
    given, _ = given_and_expected(step_of_nodes(nodes, feeds), feeds)
    places = [array.reshape(-1).tolist() for array in given.values() if array.dtype == np.int64]
    assert places == [[0, 1, 3, 5, 6, 8, 15, 16, 18]] * 2
