"""Trained networks that ship: record, weights and example of each belong together, and the smallest compiles."""

from __future__ import annotations

import statistics

import pytest
import torch

import astroedge
from astroedge.models.trained import load_trained
from astroedge.readout import Readout, chosen_class
from astroedge.workflows.export_model import export_model
from astroedge.zoo_record import find_record
from tests.support.places import ROOT
from tests.support.zoo_modules import zoo_module
from tests.support.zoo_networks import find_first

PACKAGE = ROOT / "examples" / "zoo" / "astroedge_zoo"
WEIGHTS = {path.stem: path for path in sorted(PACKAGE.glob("*.safetensors"))}
MOST_BYTES = 1_000_000  # of a network
ALL_BYTES = 10_000_000


@pytest.mark.parametrize("name", WEIGHTS)
def test_record_and_network_belong_together(name: str) -> None:
    """A network takes its example, gives a score for each class, and has the weights and the state that it claims."""
    found = load_trained(name, PACKAGE)
    with torch.no_grad():
        state = found.model.initial_state(1)  # type: ignore[operator]
        scores, *following = found.model(*found.examples[0], *state)
    assert [tensor.shape for tensor in following] == [tensor.shape for tensor in state]
    assert len(found.record.labels) in (0, scores.shape[-1])
    assert found.record.step.state_bytes == sum(tensor.numel() * tensor.element_size() for tensor in state)
    assert found.record.step.weights == sum(tensor.numel() for tensor in found.model.state_dict().values())
    assert WEIGHTS[name].stat().st_size <= MOST_BYTES


@pytest.mark.parametrize("name", WEIGHTS)
def test_results_are_those_of_five_seeds_and_of_the_one_in_the_middle(name: str) -> None:
    """Mean and spread are those of the five results, and what ships is the run of median result, no better one."""
    record = find_record(name, PACKAGE)
    results, kept = record.seeds.results, record.seeds.results[record.seeds.kept]
    assert len(results) == 5
    assert kept == statistics.median(results) == pytest.approx(record.precisions["float32"].result, abs=1e-3)
    assert record.seeds.mean == pytest.approx(statistics.mean(results), rel=1e-3)
    assert record.seeds.spread == pytest.approx(statistics.stdev(results), rel=0.02, abs=1e-3)
    assert set(record.precisions) == {"float32", "int8", "int4"}
    assert record.baselines
    assert name in record.training.command


def test_they_fit_into_a_small_wheel() -> None:
    """All of them together stay below ten megabytes, and no record is without its weights or the other way round."""
    assert sum(path.stat().st_size for path in PACKAGE.iterdir()) < ALL_BYTES
    assert {path.stem for path in PACKAGE.glob("*.json")} == set(WEIGHTS)


def test_every_recipe_ships_its_network() -> None:
    """There is a network for each recipe, and no other."""
    with zoo_module("recipes") as recipes:
        assert set(recipes.RECIPES) == set(WEIGHTS)


def test_the_page_shows_the_records() -> None:
    """The README's tables are those of the records."""
    page = (PACKAGE.parent / "README.md").read_text(encoding="utf-8")
    with zoo_module("frame.record") as record:
        assert record.BEGIN + record.tables(record.read_all()) + record.END in page


def test_the_smallest_goes_all_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """`zoo:NAME` becomes a bundle that carries the classes and finds, in the example, the class that PyTorch finds."""
    find_first(PACKAGE.parent, monkeypatch)
    name = min(WEIGHTS, key=lambda name: (not find_record(name, PACKAGE).labels, WEIGHTS[name].stat().st_size))
    found = load_trained(name, PACKAGE)
    bundle = astroedge.compile(export_model(f"zoo:{name}"))
    assert list(bundle.labels or ()) == list(found.record.labels)
    state = found.model.initial_state(1)  # type: ignore[operator]
    expected, answer = Readout(found.record.readout), Readout(found.record.readout)
    with astroedge.load(bundle) as session, torch.no_grad():
        for tick in found.examples:
            scores, *state = found.model(*tick, *state)
            given = session.step(**{item.name: x.numpy() for item, x in zip(session.spec.inputs, tick, strict=True)})
            expected.add(scores.numpy())
            answer.add(given[session.spec.outputs[0].name])
    classes = [chosen_class(found.record.readout, item.result(), item.ticks) for item in (answer, expected)]
    assert classes[0] == classes[1]
