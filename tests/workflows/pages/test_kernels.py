"""The roofline: operations of the matrices that a kernel computes, over the bytes and the time of that kernel."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("vl_convert", reason="pages need astroedge[report]")

from astroedge.workflows.pages.kernels import _points
from astroedge.workflows.pages.shown import Shown


def points(kernels: dict[str, float], matrices: list[str]) -> dict[str, tuple[float, float]]:
    """Operations and bytes of every point but the whole step's; each matrix does ten, each kernel moves as said."""
    record: dict[str, Any] = {
        "kernels": {"items": [{"module": name, "bytes": moved, "time": 1.0} for name, moved in kernels.items()]},
        "operations": {"matrices": [{"name": name, "effective": 10, "kind": "AC"} for name in matrices]},
    }
    found = _points(Shown("A", "red", record, True))
    return {point.name: (point.operations, point.moved) for point in found if point.name != "whole step"}


def test_joined_products_are_one_point() -> None:
    """Both do what the one kernel moves bytes for; thresholds that are named after one of them are no product."""
    kernels = {"a.q + a.k": 100.0, "a.q": 7.0, "a.v": 50.0, "a": 3.0}
    assert points(kernels, ["a.q", "a.k", "a.v"]) == {"a.q + a.k": (20, 100), "a.v": (10, 50)}


def test_a_matrix_without_a_kernel_of_its_name_is_its_modules() -> None:
    """A layer's kernels are named after the layer, whose weight is in it."""
    assert points({"fc": 40.0}, ["fc.weight", "other.weight"]) == {"fc": (10, 40)}
