"""The table of paced networks, and its place in the documentation."""

from __future__ import annotations

import pytest

from benchmarks.report.documents import begin
from benchmarks.studies import paced
from tests.benchmarks.records import MACHINE
from tests.support.graphs import lif_layer, random_inputs


@pytest.mark.compiles
def test_a_network_is_paced_beside_onnx_runtime() -> None:
    """Each rate has as many ticks of both; the row has their medians, the ratio and the lateness."""
    graph = lif_layer()
    record = {"name": "lif-tiny", **paced.measure(graph, random_inputs(graph, 20), (500.0, 1000.0), 0.03)}
    counts = [(found["step"]["count"], found["peer"]["step"]["count"]) for found in record["paced"]]
    assert counts == [(15, 15), (30, 30)]
    for found in record["paced"]:
        found["step"]["p50"], found["peer"]["step"]["p50"], found["wake"]["p50"] = 20e3, 50e3, 60e3
    record["loop"] |= {"ours": 2500.0, "theirs": 10000.0}
    lines = paced.render({"machine": MACHINE, "networks": [record], "warnings": ["Others used the cores."]})
    assert "| 2.50 | 10.0 | 20.0 | 50.0 | **2.50×** | 60.0 | 20.0 | 50.0 | **2.50×** | 60.0 |" in lines[4]
    assert lines[-1] == "Warning: Others used the cores."


def test_the_page_has_a_place_for_the_table() -> None:
    """Between the marks of its command."""
    assert begin(paced.COMMAND) in paced.PAGE.read_text(encoding="utf-8")
