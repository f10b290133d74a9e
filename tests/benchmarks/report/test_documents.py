"""Tables between their marks in the documentation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import bench
from benchmarks.report.documents import END, begin, put_into, summary
from tests.benchmarks.records import MACHINE, comparison
from tests.support.places import ROOT


def test_only_what_is_between_the_marks_changes(tmp_path: Path) -> None:
    """Text before and after stays, twice."""
    page = tmp_path / "page.md"
    page.write_text(f"# Before\n\n{begin()}\nold\n{END}\n\nAfter\n", encoding="utf-8")
    for lines in (["one", "two"], ["three"]):
        put_into(page, lines)
        assert page.read_text(encoding="utf-8") == "\n".join(["# Before", "", begin(), *lines, END, "", "After", ""])


def test_the_summary_has_one_row_for_each_network_on_one_thread() -> None:
    """Times and ratios of `step` at both precisions; more threads are left to the long tables."""
    records = [comparison(), comparison(threads=2), comparison("gru-keywords")]
    lines = summary({"machine": MACHINE, "comparisons": records})
    assert lines[-2:] == [
        f"| {name} | 2,763 | 10–12% | 1.00 | 8.00 (onnxruntime) | **8.00×** | 0.50 | 3.00 (onnxruntime int8) "
        "| **6.00×** |"
        for name in ("lif-tiny", "gru-keywords")
    ]


@pytest.mark.skipif(not (bench.COMPLETE / "models.json").is_file(), reason="no complete results yet")
def test_the_documentation_shows_the_committed_results() -> None:
    """README.md and docs/benchmarks.md have the tables that the figures in benchmarks/results give."""
    models = json.loads((bench.COMPLETE / "models.json").read_text(encoding="utf-8"))
    pages = {
        "README.md": summary(models),
        "docs/benchmarks.md": bench.render(bench.COMPLETE, "../benchmarks/results"),
    }
    for page, lines in pages.items():
        between = (ROOT / page).read_text(encoding="utf-8").split(f"{begin()}\n")[1].split(END)[0]
        assert between == "\n".join([*lines, ""]), page
