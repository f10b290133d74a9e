"""Operators that choose, move or mark elements give ONNX Runtime's elements, in every form."""

from __future__ import annotations

import numpy as np

from tests.support.node_forms import given_and_expected, node, step_of_nodes

RNG = np.random.default_rng(0)
A = np.array
FEEDS = {
    "x": RNG.normal(size=(2, 3, 7, 9)).astype(np.float32),
    "rows": RNG.normal(size=(2, 3, 9)).astype(np.float32),
    "index": RNG.integers(-6, 6, (3, 4)),
    "between": A([0, 1.5, -1.5, 3, -4, -0.5, 4, np.inf], np.float32),
    "number": A(3.5, np.float32),
    "lengths": A([3, 2]),
    "values": A([2.5, -1], np.float32),
    "square": RNG.integers(0, 9, (4, 5)).astype(np.int32),
}
CALLS = [
    node("OneHot", "index", A(6), A([0, 1], np.float32)),
    node("OneHot", "index", A([6.0], np.float32), "values", axis=0),
    node("OneHot", "between", A([4.0], np.float32), "values"),
    node("Split", "x", A([2, 5, 2]), outputs=3, axis=3),
    node("Split", "x", outputs=2, axis=-1, num_outputs=2),
    node("Split", "x", outputs=1, axis=1, num_outputs=1),
    node("ReverseSequence", "rows", "lengths", batch_axis=0, time_axis=1),
    node("CenterCropPad", "x", A([9, 6]), axes=[2, -1]),
    node("Pad", "x", A([0, 0, 2, 3, 0, 0, 1, 2]), mode="reflect"),
    node("Pad", "x", A([2, -2, 3, 1]), "", A([2, -1]), mode="edge"),
    node("Pad", "x", A([2, 3, 3, 1]), "", A([2, -1]), mode="wrap"),
    node("Pad", "x", A([2, -2, 3, 1]), "number", A([2, -1])),
    node("Pad", "x", A([2, -2, 3, -1]), A(2, np.float32), A([2, -1])),
    node("Shape", "x", start=1),
    node("Size", "x"),
    node("EyeLike", "square", k=1, dtype=1),
    node("TopK", "x", A([2]), outputs=2, axis=1),
    node("TopK", "x", A([7]), outputs=2, axis=-2, largest=0),
    node("CumSum", "x", A(-1), reverse=1, exclusive=1),
    node("CumSum", "square", A(0), reverse=1),
]


def test_every_form_gives_what_onnx_runtime_gives() -> None:
    """Bit by bit: places are known, or one comparison away."""
    given, expected = given_and_expected(step_of_nodes(CALLS, FEEDS), FEEDS)
    for name, array in expected.items():
        assert given[name].dtype == array.dtype
        if "CumSum" in CALLS[int(name[1:].partition("_")[0])]:
            np.testing.assert_allclose(given[name], array, rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(given[name], array, err_msg=name)


def test_running_products_are_made_in_order() -> None:
    """CumProd in its four forms, and rows written from a place for each stream, in operator sets that have them."""
    feeds = {"x": RNG.integers(-3, 4, (2, 5)).astype(np.float32)}
    forms = [{}, {"reverse": 1}, {"exclusive": 1}, {"reverse": 1, "exclusive": 1}]
    calls = [node("CumProd", "x", A(1), **options) for options in forms]
    given, expected = given_and_expected(step_of_nodes(calls, feeds, opset=26), feeds)
    for name, array in expected.items():
        np.testing.assert_array_equal(given[name], array, err_msg=name)


def test_rows_are_written_from_a_place_for_each_stream() -> None:
    """TensorScatter, linear and around the end, with and without places."""
    feeds = {
        "kept": RNG.normal(size=(2, 4, 6, 3)).astype(np.float32),
        "new": RNG.normal(size=(2, 4, 2, 3)).astype(np.float32),
        "first": A([1, 2]),
        "late": A([5, 4]),
    }
    calls = [
        node("TensorScatter", "kept", "new", "first"),
        node("TensorScatter", "kept", "new", "late", mode="circular"),
        node("TensorScatter", "kept", "new"),
    ]
    given, expected = given_and_expected(step_of_nodes(calls, feeds, opset=24), feeds)
    for name, array in expected.items():
        np.testing.assert_array_equal(given[name], array, err_msg=name)
