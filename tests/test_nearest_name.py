"""What somebody most likely meant by a name."""

from __future__ import annotations

from astroedge.nearest_name import did_you_mean


def test_nearest_name_is_offered_and_a_far_one_is_not() -> None:
    """A slip of the pen is recognised, of several names the nearest; a name like none of them gets no hint."""
    known = {"inhibition": 1, "input": 2, "reset": 3}
    assert did_you_mean("inputs", known) == "did you mean 'input'?"
    assert did_you_mean("voltage", known) is None


def test_likeness_can_be_asked_for() -> None:
    """With a smaller likeness names are offered that are further away."""
    assert did_you_mean("input", ["output"]) is None
    assert did_you_mean("input", ["output"], cutoff=0.5) == "did you mean 'output'?"
