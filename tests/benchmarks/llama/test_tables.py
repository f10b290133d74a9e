"""Tables and estimates of the comparison with llama.cpp, from results made up by hand."""

from __future__ import annotations

import pytest

from benchmarks.llama.boards import reached_share, tokens_per_second
from benchmarks.llama.tables import render_llama
from tests.benchmarks.llama.records import MISSING, llama_comparison, llama_report


def test_speeds_and_ratios_stand_in_a_row_by_context() -> None:
    """1 ms is 1,000 tokens a second; llama.cpp's 6 ms after 2,048 tokens make six times."""
    text = "\n".join(render_llama(llama_report()))
    assert "| 500M | 2,048 | 1,000 (1.00) | 1,000 (1.00) | 1,000 (1.00) | 167 (6.00) | 167 (6.00) | **6.00×** |" in text
    assert "### Tokens a second on 2 threads" in text
    assert "| 25M | 1% | 10% | 30% |" in text
    assert "| 500M | 0 | 100.0 MB (1.0 MB) |" in text


def test_who_is_missing_is_a_dash_and_a_reason() -> None:
    """Without llama.cpp the rest is printed all the same."""
    report = llama_report(("500M",))
    for record in report["comparisons"]:
        del record["contenders"]["llama.cpp Q4_0"]
        record["missing"] = MISSING
    text = "\n".join(render_llama(report))
    assert "| 250 (4.00) | – | **4.00×** | **–** |" in text
    assert "- llama.cpp Q4_0: llama-cpp-python not installed – 500M" in text


def test_shares_of_the_limit_are_told_by_threads() -> None:
    """10 MB in 1 ms are half of 20 GB/s, whoever touches them."""
    report = llama_report(("500M",))
    for record in report["comparisons"]:
        for contender in record["contenders"].values():
            contender["bandwidth_gb_per_s"] = 20.0 * record["threads"]
    lines = render_llama(report)
    shares = lines[lines.index("### Share of the limit") :]
    assert any(line.startswith("| 500M | 1 | 0 | 50% | 50% |") for line in shares)
    assert any(line.startswith("| 500M | 2 | 0 | 25% | 25% |") for line in shares)


def test_boards_are_estimated_where_memory_decides() -> None:
    """At half of this machine's bandwidth a board does half of its own over the bytes; 25 M fit into caches."""
    contender = llama_comparison("500M")["contenders"]["astroedge int8"]
    assert reached_share(contender, 20.0) == pytest.approx(0.5)
    assert tokens_per_second(contender, 20.0, 17.1) == pytest.approx(0.5 * 17.1e9 / 1e7)
    assert tokens_per_second(contender, 5.0, 17.1) == pytest.approx(17.1e9 / 1e7)
    lines = render_llama(llama_report())
    boards = lines[lines.index("### What boards could reach: estimates") :]
    assert any("Not measured on a board" in line for line in boards)
    assert any(line.startswith("| 500M | 0 | Raspberry Pi 5 | ≈ 855 |") for line in boards)
    assert not any(line.startswith("| 25M") for line in boards)
