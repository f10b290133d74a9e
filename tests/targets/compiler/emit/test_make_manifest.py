"""How the golden trace draws an input: as its examples were, within what can be drawn."""

from __future__ import annotations

import numpy as np
import pytest

from astroedge.bundle.manifest import InputField
from astroedge.runtimes.checking.golden import draw_field, splitmix64
from astroedge.step.spec import TensorSpec
from astroedge.targets.compiler.emit.make_manifest import input_field

NUMBERS = splitmix64(1, 0, 4000)


def drawn(**facts: object) -> tuple[InputField, np.ndarray]:
    """The field of an input of which export found `facts`, and numbers drawn for it."""
    field = input_field(TensorSpec("x", (4,), **facts), 0)  # type: ignore[arg-type]
    return field, draw_field(field, NUMBERS)


def test_integers_are_drawn_from_the_range_of_their_examples() -> None:
    """Divisors from 2 to 5 are drawn as these, none of them 0; other values are not refused."""
    field, values = drawn(dtype="int64", value_range=(2, 6), firing_rate=0.4)
    assert np.unique(values).tolist() == [2, 3, 4, 5]
    assert not field.check_range
    assert drawn(dtype="int32", value_range=(7, 8))[1].tolist() == [7] * 4000


@pytest.mark.parametrize(
    ("dtype", "extent"),
    [("int64", (-(2**63), 2**63)), ("int64", (2**63 - 1, 2**63)), ("int32", (-(2**31), 2**31)), ("uint8", (0, 256))],
)
def test_the_widest_ranges_stay_within_the_format(dtype: str, extent: tuple[int, int]) -> None:
    """One draw reaches over fewer than 2³² integers, none of them above what the dtype holds."""
    field, values = drawn(dtype=dtype, value_range=extent)
    assert 0 < field.high - field.low < 2**32
    assert field.high <= np.iinfo(dtype).max
    assert field.low <= int(values.min()) <= int(values.max()) < field.high


def test_integers_without_examples_are_spikes() -> None:
    """Nothing is known of them but that 0 and 1 are integers."""
    assert np.unique(drawn(dtype="int64")[1]).tolist() == [0, 1]


@pytest.mark.parametrize("span", [np.inf, 0.0, None, 1.0])
def test_a_span_that_is_no_number_is_drawn_within_1(span: float | None) -> None:
    """A graph whose mask is infinite, as older exports recorded it, draws floats as if nothing were known."""
    field, values = drawn(dtype="float32", span=span)
    assert (field.draw, field.draw_parameter) == ("uniform", 0)
    assert abs(values).max() <= 1


def test_values_are_drawn_as_often_as_the_examples_had_them() -> None:
    """Graded spikes are drawn as graded spikes, in the dtype of the input, and -1, 0 and 1 by their shares."""
    field, values = drawn(dtype="float32", span=2.0, firing_rate=0.2, values=((0.0, 0.8), (0.3125, 0.15), (2.0, 0.05)))
    shares = dict(zip(*(item.tolist() for item in np.unique(values, return_counts=True)), strict=True))
    assert {value: count / 4000 for value, count in shares.items()} == pytest.approx(
        {0.0: 0.8, 0.3125: 0.15, 2.0: 0.05}, abs=0.02
    )
    assert values.dtype == np.float32
    ternary = drawn(dtype="int8", value_range=(-1, 2), values=((-1.0, 0.5), (0.0, 0.25), (1.0, 0.25)))[1]
    assert np.mean(ternary == -1) == pytest.approx(0.5, abs=0.02)
    assert not field.check_range


def test_a_declared_rate_says_how_many_of_the_values_are_zero() -> None:
    """The caller of export knows the rate better than the examples, which know the values."""
    values = drawn(dtype="float32", firing_rate=0.1, values=((-2.0, 0.25), (0.0, 0.25), (4.0, 0.5)))[1]
    assert np.mean(values != 0) == pytest.approx(0.1, abs=0.02)
    assert np.sum(values == 4) == pytest.approx(2 * np.sum(values == -2), rel=0.3)
