"""The index of the largest and of the smallest element is the first one's, whatever the elements are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroedge.targets.kernels.arg_reduce import arg_reduce
from tests.support.kernels.harness import RUNNABLE, run

TARGETS = st.sampled_from(RUNNABLE)
EXTREMES = (np.inf, -np.inf, 3.4028235e38, -3.4028235e38, 1e-45, -1e-45, 0.0, -0.0, 1.0, -1.0, np.nan)


def first_best(kind: str, row: np.ndarray) -> int:
    """What a loop from element 0 that takes only what is strictly better ends at."""
    best = 0
    for index, value in enumerate(row):
        if value > row[best] if kind == "argmax" else value < row[best]:
            best = index
    return best


def indices(kind: str, x: np.ndarray, target: dict[str, Any] = RUNNABLE[0]) -> list[int]:
    """The kernel's results for the rows of `x`."""
    outer, width = x.shape
    result: list[int] = run(
        arg_reduce(kind, outer, width, str(x.dtype)), [x.ravel()], [np.full(outer, -9, np.int64)], target
    )[0].tolist()
    return result


@settings(max_examples=30, deadline=None)
@given(kind=st.sampled_from(["argmax", "argmin"]), width=st.integers(1, 70), target=TARGETS, seed=st.integers(0, 99))
def test_index_is_that_of_the_first_best_element(kind: str, width: int, target: dict[str, Any], seed: int) -> None:
    """Rows of few different values, extremes and NaNs among them, tie often; the first of the best is found."""
    rng = np.random.default_rng(seed)
    x = rng.choice(np.array(EXTREMES, np.float32), (4, width))
    assert indices(kind, x, target) == [first_best(kind, row) for row in x]


@pytest.mark.parametrize("kind", ["argmax", "argmin"])
@pytest.mark.parametrize("value", EXTREMES)
@pytest.mark.parametrize("width", [1, 5, 16, 33])
def test_a_row_of_one_value_has_index_0(kind: str, value: float, width: int) -> None:
    """Infinities, the largest and lowest numbers, denormals and NaNs alone: element 0 is as good as any."""
    assert indices(kind, np.full((2, width), value, np.float32)) == [0, 0]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "float16"])
def test_extremes_of_other_dtypes_are_found(dtype: str) -> None:
    """The lowest and the highest number of a type are elements like any other."""
    info = np.finfo(dtype) if dtype.startswith("float") else np.iinfo(dtype)
    rows = [[info.min] * 19, [info.max] * 19, [info.min] * 18 + [info.max], [info.max] * 18 + [info.min]]
    x = np.array(rows, dtype)
    assert indices("argmax", x) == [0, 0, 18, 0]
    assert indices("argmin", x) == [0, 0, 0, 18]
