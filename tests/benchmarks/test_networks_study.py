"""The table of published networks, and its place in the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.report.documents import END, begin, put_into
from benchmarks.studies import networks
from tests.benchmarks.records import MACHINE
from tests.support import graphs


@pytest.mark.compiles
def test_a_step_graph_in_a_file_is_measured_on_drawn_inputs(tmp_path: Path) -> None:
    """Times of both, that they agree, and firing rates; a row of the table says the ratio."""
    path = tmp_path / "layer.onnx"
    graphs.lif_layer().save(path)
    record = {"name": "layer", **networks.from_file(path)}
    assert networks.FEWEST <= record["turns"] <= networks.MOST
    assert record["astroedge"] > 0
    assert record["onnxruntime"] > 0
    assert record["disagreeing"] == 0
    assert set(record["firing_rates"]) == {"lif.spike"}
    record |= {"astroedge": 10.0, "onnxruntime": 25.0, "weights": 1000}
    lines = networks.render({"machine": MACHINE, "networks": [record]})
    assert lines[-1].startswith("| layer | 1,000 |")
    assert "| 10.0 | 25.0 | **2.50×** |" in lines[-1]


def test_a_network_that_cannot_be_had_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Its reason is printed and the others go on."""

    def missing() -> dict[str, object]:
        raise ImportError("No module named 'spikingjelly'")

    assert networks.attempt("a network", missing) is None
    assert capsys.readouterr().out == "a network: No module named 'spikingjelly'\n"


def test_two_commands_write_to_one_page(tmp_path: Path) -> None:
    """Each replaces what is between its own marks."""
    page = tmp_path / "page.md"
    page.write_text(f"{begin()}\nold\n{END}\n\n{begin('other')}\n{END}\n", encoding="utf-8")
    put_into(page, ["new"])
    put_into(page, ["one", "two"], "other")
    assert page.read_text(encoding="utf-8") == f"{begin()}\nnew\n{END}\n\n{begin('other')}\none\ntwo\n{END}\n"
