"""Products and powers of integers, and powers of two dtypes, give what ONNX Runtime gives."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from astroedge.errors import UnsupportedOpError
from tests.support.builds import build
from tests.support.node_lists import compare, step_of_nodes

RNG = np.random.default_rng(3)
INPUTS = {
    "i": RNG.integers(-9, 9, (2, 3, 4)).astype(np.int32),
    "row": RNG.integers(-9, 9, 4).astype(np.int32),
    "matrix": RNG.integers(-9, 9, (4, 5)).astype(np.int32),
    "l": np.array([0, 1, -1, 2, -3, 10]),
    "n": np.array([7, 101, 101, 40, 3, 18]),
    "negative": np.array([1, -1, -2, -1, -4, -1]),
    "units": np.array([1, -1, -1, 2, -3, 10]),
    "x": RNG.normal(size=(2, 3)).astype(np.float32),
    "h": np.abs(RNG.normal(size=(2, 3))).astype(np.float16) + np.float16(0.5),
    "k": RNG.integers(-3, 4, (2, 3)).astype(np.int32),
}
CONSTANTS = {"three": np.array(3, np.int32), "whole": np.float32(2), "broken": np.float32(1.5)}


def test_products_and_powers_of_integers() -> None:
    """Matrices, vectors and batches; constant and computed exponents, large, negative and of another dtype."""
    nodes = [
        *(helper.make_node("MatMul", names, [f"y_{'_'.join(names)}"]) for names in (["i", "matrix"], ["i", "row"])),
        *(helper.make_node("MatMul", names, [f"y_{'_'.join(names)}"]) for names in (["row", "matrix"], ["row", "row"])),
        helper.make_node("Pow", ["i", "three"], ["y_cube"]),
        helper.make_node("Pow", ["i", "whole"], ["y_square"]),
        helper.make_node("Pow", ["l", "n"], ["y_power"]),
        helper.make_node("Pow", ["units", "negative"], ["y_inverse"]),
    ]
    compare(nodes, INPUTS, CONSTANTS)


def test_powers_of_two_dtypes() -> None:
    """The result has the dtype of the base; float16 is rounded once."""
    nodes = [
        helper.make_node("Pow", ["x", "k"], ["y_float"]),
        helper.make_node("Pow", ["h", "x"], ["y_half"]),
        helper.make_node("Pow", ["h", "broken"], ["y_constant"]),
    ]
    given = compare(nodes, {name: INPUTS[name] for name in "xhk"}, CONSTANTS, tolerance=1e-3)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(given["y_float"][0], INPUTS["x"] ** INPUTS["k"], rtol=2e-7)


def test_large_product_of_integers_is_refused_by_name() -> None:
    """What would be written out as millions of products is an error that says so."""
    inputs = {"x": np.zeros((1000, 40), np.int32), "z": np.zeros((40, 1000), np.int32)}
    graph = step_of_nodes(
        [helper.make_node("MatMul", ["x", "z"], ["y"])], inputs, {}, {"y": np.zeros((1000, 1000), np.int32)}
    )
    with pytest.raises(UnsupportedOpError, match="MatMul with int32 and 40000000 products"):
        build(graph)
