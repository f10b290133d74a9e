"""The zoo's table: every cell takes what is drawn for it, and a row says what was measured."""

from __future__ import annotations

import json

import pytest
import torch

from astroedge.zoo_record import list_records
from benchmarks.networks.zoo import ZOO
from benchmarks.places import RESULTS
from benchmarks.studies import zoo
from tests.benchmarks.records import MACHINE
from tests.support import graphs


@pytest.mark.parametrize("name", ZOO)
def test_a_cell_takes_what_is_drawn_for_it(name: str) -> None:
    """One tick of inputs and states gives finite outputs and the same number of states, of the same shapes."""
    torch.manual_seed(0)
    network = ZOO[name].network
    model = network.build().eval()
    assert network.state is not None
    state = list(network.state(model, 1))
    with torch.inference_mode():
        results = model(*network.draw(torch.Generator().manual_seed(0), 1), *state)
    assert [x.shape for x in results[len(results) - len(state) :]] == [x.shape for x in state]
    assert all(bool(torch.isfinite(x).all()) for x in results)


def test_a_row_has_state_proof_and_ratio() -> None:
    """Sizes in words, the verdict of ARM as it came, times of both and how they compare."""
    record = {"name": "alif", "weights": 1000, "state_bytes": 2048, "arm": "equal", "firing_rates": {"z": 0.1}}
    record["trained"] = {"alif-har": "97.5% ± 2.5%"}
    lines = zoo.render({"machine": MACHINE, "cells": [record | {"astroedge": 10.0, "onnxruntime": 25.0}]})
    row = "| ALIF | 1803.09574 | 1,000 | 2.0 kB | 10% | equal | 10.0 | 25.0 | **2.50×** | `alif-har` 97.5% ± 2.5% |"
    assert lines[-1] == row


def test_without_an_emulator_arm_is_not_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no QEMU is found the column says so, and nothing is built."""
    monkeypatch.setenv("PATH", "")
    assert zoo.prove_on_arm(graphs.lif_layer()) == "no QEMU"


def test_the_page_shows_the_results_of_today() -> None:
    """The table of docs/zoo.md is that of the committed results, which name the trained networks that ship."""
    report = json.loads((RESULTS / "zoo.json").read_text(encoding="utf-8"))
    assert "\n".join(zoo.render(report)) in zoo.PAGE.read_text(encoding="utf-8")
    for record in report["cells"]:
        paper = ZOO[record["name"]].paper
        assert record["trained"] == {item.name: zoo._figure(item) for item in list_records() if item.paper == paper}
