from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astroedge.errors import InputError
from astroedge.step.spec import TensorSpec
from astroedge.workflows.inputs.fit_arrays import Fit, fit_arrays

SHAPES = st.lists(st.integers(1, 4), max_size=4)


def fit(array: Any, spec: TensorSpec, cast: bool = False, leading: tuple[str, ...] = ("T",)) -> tuple[Any, list[str]]:
    """The array that fits, and what was said."""
    notes: list[str] = []
    found = fit_arrays({"x": np.asarray(array)}, [spec], "file.npy", Fit(cast, notes.append), leading)
    return found["x"], notes


@given(SHAPES, st.data())
def test_axes_of_one_may_be_missing_or_too_many(shape: list[int], data: st.DataObject) -> None:
    """Whatever axes of 1 a file has or lacks, its numbers arrive in their order, and a change is said."""
    kept = [size for size in shape if size > 1 or data.draw(st.booleans())]
    for place in data.draw(st.lists(st.integers(0, len(kept)), max_size=2)):
        kept.insert(place, 1)
    array = np.arange(5 * int(np.prod(kept)), dtype=np.float32).reshape(5, *kept)
    found, notes = fit(array, TensorSpec("x", tuple(shape), "float32"))
    assert found.shape == (5, *shape)
    assert np.array_equal(found.ravel(), array.ravel())
    assert len(notes) == (kept != shape)


@pytest.mark.parametrize("shape", [(5, 3), (5, 8, 1, 2), (5,), ()])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    """What differs in more than axes of 1 is named with the shape that is needed."""
    with pytest.raises(InputError, match=r"must be float32 \(T, 1, 8\)"):
        fit(np.zeros(shape, np.float32), TensorSpec("x", (1, 8), "float32"))


def test_transposed_axes_are_not_taken_for_one_another() -> None:
    """Sizes in another order are another shape, even where as many elements are there."""
    with pytest.raises(InputError, match=r"\(T, 2, 3\)"):
        fit(np.zeros((5, 3, 2), np.float32), TensorSpec("x", (2, 3), "float32"))


def test_two_leading_axes_are_not_the_inputs() -> None:
    """Of sequences the first two axes stay, though they may be 1."""
    found, _ = fit(np.zeros((1, 1, 8), np.float32), TensorSpec("x", (1, 8), "float32"), leading=("N", "T"))
    assert found.shape == (1, 1, 1, 8)


CASTS = [
    (np.array([0.1, np.inf, np.nan]), "float32", np.array([0.1, np.inf, np.nan], np.float32)),
    (np.array([0, 1, 7]), "float16", np.array([0, 1, 7], np.float16)),
    (np.array([0.0, 3.0]), "int64", np.array([0, 3])),
    (np.array([0, 255], np.int64), "uint8", np.array([0, 255], np.uint8)),
    (np.array([0, 1], np.uint8), "bool", np.array([False, True])),
    (np.array([True, False]), "float32", np.array([1, 0], np.float32)),
    (np.array([1.5], ">f4"), "float32", np.array([1.5], np.float32)),
]


@pytest.mark.parametrize(("given", "dtype", "expected"), CASTS)
def test_numbers_are_converted_when_asked(given: Any, dtype: str, expected: Any) -> None:
    """With cast an array becomes the input's dtype and that is said; without, it is an error that names the option."""
    spec = TensorSpec("x", (), dtype)
    found, notes = fit(given, spec, cast=True)
    assert found.dtype == dtype
    assert np.array_equal(found, expected, equal_nan=dtype.startswith("float"))
    assert len(notes) == 1
    with pytest.raises(InputError, match="--cast"):
        fit(given, spec)


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        (np.array([1e39]), "float32"),
        (np.array([1e5]), "float16"),
        (np.array([0.5]), "int64"),
        (np.array([np.nan]), "int32"),
        (np.array([2.0**63]), "int64"),
        (np.array([-1]), "uint8"),
        (np.array([2], np.uint8), "bool"),
        (np.array(["a"]), "float32"),
        (np.array([1j]), "float32"),
    ],
)
def test_numbers_that_the_dtype_does_not_hold_are_refused(given: Any, dtype: str) -> None:
    """Nothing is wrapped around, cut off or made infinite."""
    with pytest.raises(InputError, match="holds"):
        fit(given, TensorSpec("x", (), dtype), cast=True)
