"""Section "llama": points that are measured one after the other come into one report."""

from __future__ import annotations

import pytest

from benchmarks.bench import is_complete
from benchmarks.llama.prepare import SIZES
from benchmarks.sections.beside_llama import _swept, merge
from benchmarks.timing.settings import Settings
from tests.benchmarks.llama.records import llama_report
from tests.benchmarks.records import MACHINE


def test_a_size_measured_alone_joins_the_others() -> None:
    """Sizes keep their order, one that is measured again takes the place of its figures, failures stay with theirs."""
    earlier = {"machine": MACHINE, **llama_report(("25M", "1.5B")), "failed": {"1.5B, 0 tokens": "died", "25M": "old"}}
    again = {"machine": MACHINE, **llama_report(("500M",))}
    both = merge(earlier, again)
    assert list(both["sizes"]) == ["25M", "500M", "1.5B"]
    assert len(both["comparisons"]) == len(earlier["comparisons"]) + len(again["comparisons"])
    assert both["failed"] == earlier["failed"]
    newer = {"machine": MACHINE, **llama_report(("25M",))}
    for item in newer["comparisons"]:
        item["contenders"]["astroedge int4"]["median"] = 0.5
    merged = merge(both, newer)
    assert [item in newer["comparisons"] for item in merged["comparisons"]] == [
        item["size"] == "25M" for item in both["comparisons"]
    ]
    assert merged["failed"] == {"1.5B, 0 tokens": "died"}
    never = {**earlier, "failed": {"2B": "no room"}}
    assert merge(never, newer)["failed"]["2B"] == "no room"  # of a size that has no figures


def test_points_of_a_size_are_measured_apart() -> None:
    """Two threads measured again take the place of what was there; contexts and rates that were not stay, in order."""
    earlier = {"machine": MACHINE, **llama_report(("25M", "500M"))}
    report = llama_report(("25M",))
    newer = {
        "machine": MACHINE,
        **report,
        "comparisons": [item for item in report["comparisons"] if item["threads"] == 2],
    }
    for item in newer["comparisons"]:
        item["contenders"]["astroedge int4"]["median"] = 0.5
    merged = merge(earlier, newer)
    points = [(item["size"], item["rate"], item["context"], item["threads"]) for item in merged["comparisons"]]
    assert len(set(points)) == len(points) == len(earlier["comparisons"])
    assert points[:6] == [
        *(("25M", 0.1, context, threads) for context in (0, 2048) for threads in (1, 2)),
        *(("25M", rate, 0, 1) for rate in (0.01, 0.3)),
    ]
    assert {item["threads"] for item in merged["comparisons"] if item in newer["comparisons"]} == {2}


def test_a_point_that_failed_has_no_old_figures() -> None:
    """Otherwise it would stand in a table and among the failures."""
    earlier = {"machine": MACHINE, **llama_report(("25M",))}
    place = "25M, 2,048 tokens, 10% firing, threads: 2"
    merged = merge(earlier, {**earlier, "comparisons": [], "failed": {place: "died"}})
    assert len(merged["comparisons"]) == len(earlier["comparisons"]) - 1
    assert merged["failed"] == {place: "died"}


def test_another_network_of_a_size_takes_all_its_figures_place() -> None:
    """Points of networks of different shapes are not of one curve."""
    earlier = {"machine": MACHINE, **llama_report(("25M",))}
    other = {**earlier["sizes"]["25M"], "llama": {"layers": 7}}
    newer = {**earlier, "sizes": {"25M": other}, "comparisons": earlier["comparisons"][:1]}
    assert merge(earlier, newer)["comparisons"] == newer["comparisons"]


def test_rates_are_those_asked_for_as_far_as_a_size_has_them() -> None:
    """By default all of them, and none where it has to be quick."""
    size = SIZES["1.5B"]
    assert _swept(size, Settings(rates=(0.2, 0.3, 0.1))) == [0.2]
    assert _swept(size, Settings()) == list(size.swept)
    assert _swept(size, Settings(quick=True)) == ()


def test_a_size_that_is_no_longer_measured_falls_away() -> None:
    """Its figures have no place among those of the others."""
    old = {"machine": MACHINE, **llama_report(("25M",))}
    old["sizes"]["2B"] = old["sizes"]["25M"]
    old["comparisons"] = [*old["comparisons"], {**old["comparisons"][0], "size": "2B"}]
    merged = merge(old, {"machine": MACHINE, **llama_report(("500M",))})
    assert {item["size"] for item in merged["comparisons"]} == set(merged["sizes"]) == {"25M", "500M"}


@pytest.mark.parametrize(
    ("name", "settings", "complete"),
    [
        ("llama", Settings(rates=(0.2,), threads=(2,)), True),
        ("llama", Settings(quick=True), False),
        ("rates", Settings(), True),
        ("rates", Settings(rates=(0.2,)), False),
    ],
)
def test_parts_of_the_section_are_results(name: str, settings: Settings, complete: bool) -> None:
    """They join what is there; of other sections only the whole goes into the documentation."""
    assert is_complete(name, settings) is complete


def test_figures_of_another_machine_are_not_mixed_in(capsys: pytest.CaptureFixture[str]) -> None:
    """What another processor did is left out, and that is said."""
    earlier = {"machine": {**MACHINE, "cpu": "Another"}, **llama_report(("25M",))}
    report = {"machine": MACHINE, **llama_report(("500M",))}
    assert merge(earlier, report) == report
    assert "another machine" in capsys.readouterr().out
