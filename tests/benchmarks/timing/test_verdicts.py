"""Verdicts: met by the ratio, met by the limit, missed, not measured."""

from __future__ import annotations

import pytest

from benchmarks.timing.verdicts import GOALS, Goal, judge, limit_share
from tests.benchmarks.records import comparison


@pytest.mark.parametrize(
    ("goal", "own", "met"),
    [
        (8.0, 1.0, True),  # exactly the ratio
        (8.1, 1.0, False),  # neither: the limit is 0.25 µs
        (50.0, 0.35, True),  # 71 % of the limit
        (50.0, 0.37, False),  # 68 % of the limit
    ],
)
def test_a_goal_is_met_by_its_ratio_or_by_the_limit(goal: float, own: float, met: bool) -> None:
    """Either suffices; the peer takes 8 µs."""
    record = comparison(**{"astroedge_fp32_step": own})
    (verdict,) = judge([Goal("lif-tiny", "fp32", "step", goal)], [record])
    assert verdict.met is met
    assert verdict.peer == "onnxruntime"


def test_what_was_not_measured_has_no_verdict() -> None:
    """Another network, or more than one thread, says nothing about a goal."""
    goal = Goal("lif-tiny", "fp32", "step", 2.0)
    for records in ([], [comparison("gru-keywords")], [comparison(threads=2)]):
        assert judge([goal], records)[0].met is None


def test_the_limit_alone_can_tell() -> None:
    """Without a peer there is no ratio, but a time near the limit meets the goal."""
    record = comparison(**{"astroedge_fp32_step": 0.3})
    record["ratios"]["astroedge fp32 step"] = None
    assert judge([Goal("lif-tiny", "fp32", "step", 2.0)], [record])[0].met is True
    record = comparison()
    record["ratios"]["astroedge fp32 step"] = None
    assert judge([Goal("lif-tiny", "fp32", "step", 2.0)], [record])[0].met is None


def test_the_share_of_the_limit_is_of_the_call_asked_for() -> None:
    """`run` and `step` have their own distances; a precision that is missing has none."""
    record = comparison(**{"astroedge_fp32_run": 0.5})
    assert limit_share(record, "fp32", "run") == 0.5
    assert limit_share(record, "fp32", "step") == 0.25
    assert limit_share(record, "float16", "step") is None


def test_goals_name_networks_of_the_suite() -> None:
    """Every goal can be measured."""
    from benchmarks.networks.suite import SUITE
    from benchmarks.timing.contenders import OWN_ENTRIES

    names = {entry.name for entry in OWN_ENTRIES}
    assert {goal.model for goal in GOALS} <= set(SUITE)
    assert {f"astroedge {goal.precision} {goal.call}" for goal in GOALS} <= names
