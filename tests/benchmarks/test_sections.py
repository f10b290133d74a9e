"""Tables and pictures of every section, from results made up by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import bench
from benchmarks.networks.suite import SUITE
from benchmarks.sections.compare_contexts import LINES
from tests.benchmarks.llama.records import llama_report
from tests.benchmarks.records import MACHINE, comparison


def reports() -> dict[str, dict[str, Any]]:
    """What each section could have measured."""
    peers = {"onnxruntime": {"recipe": "as it comes", "versions": {"onnxruntime": "1.31.1"}}}
    sized = [
        {**comparison(f"astrosnn {size}"), "active_synapses": 10**5, "synapses": 10**6} for size in ("192×2", "256×3")
    ]
    contexts = [
        {
            "context": context,
            "contenders": {name: {"median": 1000.0 + context, "state_bytes": 9 * context} for name in LINES},
            "missing": {},
        }
        for context in (128, 8192)
    ]
    models = [comparison(), comparison(threads=2), comparison("gru-keywords")]
    return {
        "models": {"peers": peers, "comparisons": models, "failed": {"alif-shd": "no luck"}},
        "rates": {"comparisons": [comparison(rate=0.1), comparison(rate=0.5)], "failed": {}},
        "sizes": {"comparisons": sized, "failed": {"astrosnn 1024×7": "no memory"}},
        "contexts": {
            "weights": {"astrosnn": 24_700_000, "transformer": 24_700_000},
            "comparisons": contexts,
            "failed": {},
        },
        "llama": {**llama_report(), "failed": {"1.5B": "no room"}},
    }


@pytest.mark.parametrize("section", bench.SECTIONS)
def test_a_section_writes_figures_picture_and_tables(section: str, tmp_path: Path) -> None:
    """JSON comes back as it went in, the picture is SVG and the same twice, the tables are in bench.md."""
    report = {"machine": MACHINE, **reports()[section]}
    bench.write(tmp_path, section, report)
    picture = (tmp_path / f"{section}.svg").read_bytes()
    bench.write(tmp_path, section, report)
    assert json.loads((tmp_path / f"{section}.json").read_text()) == json.loads(json.dumps(report))
    assert b"<svg" in picture
    assert (tmp_path / f"{section}.svg").read_bytes() == picture
    text = (tmp_path / "bench.md").read_text()
    assert f"![{section}](./{section}.svg)" in text
    assert "A processor" in text
    widths = {line.count("|") for line in text.split("\n\n")[3].splitlines() if line.startswith("|")}
    assert len(widths) <= 1


def test_tables_of_all_sections_share_a_page(tmp_path: Path) -> None:
    """A section measured later joins those whose JSON is there already."""
    for section, report in reports().items():
        bench.write(tmp_path, section, {"machine": MACHINE, **report})
    text = (tmp_path / "bench.md").read_text()
    assert next(line for line in text.splitlines() if line.startswith("## ")) == "## Goals"
    assert all(f"![{section}]" in text for section in bench.SECTIONS)


def test_the_page_says_what_is_missing_and_why(tmp_path: Path) -> None:
    """Peers that were not there and networks that failed are named with their reasons, sums with their verdicts."""
    bench.write(tmp_path, "models", {"machine": MACHINE, **reports()["models"]})
    text = (tmp_path / "bench.md").read_text()
    assert "iree: not installed" in text
    assert "alif-shd: no luck" in text
    assert f"| {SUITE['lif-tiny'].title} | fp32 `run` | ≥ 8× | 8.00× (onnxruntime) | 25% | **met** |" in text
    assert "not measured" in text


def test_an_empty_section_still_renders(tmp_path: Path) -> None:
    """If every network failed, the files are written all the same."""
    report = {"machine": MACHINE, "peers": {}, "comparisons": [], "failed": {"lif-tiny": "no luck"}}
    bench.write(tmp_path, "models", report)
    bench.write(tmp_path, "rates", {"machine": MACHINE, "comparisons": [], "failed": {"lif-tiny": "no luck"}})
    assert "lif-tiny: no luck" in (tmp_path / "bench.md").read_text()
