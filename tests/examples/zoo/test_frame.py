"""What the recipes have in common: data files, runs over seeds, results of compiled steps, records and their tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from astroedge.models.trained import load_trained
from tests.support.zoo_modules import zoo_module

LABELS = ("low", "high")


@pytest.fixture
def frame() -> Iterator[SimpleNamespace]:
    """The modules of the frame, imported the way they import each other."""
    with zoo_module("frame.record") as record:
        others = ("recipe", "ts_files", "fit")
        yield SimpleNamespace(record=record, **{name: import_module(f"frame.{name}") for name in others})


def sequences(frame: SimpleNamespace, count: int) -> Any:
    """Ramps of 8 ticks that fall or rise, and which they do."""
    ramp = torch.arange(8.0)[:, None] / 4
    labels = torch.arange(count) % 2
    return frame.recipe.Series([ramp if label else -ramp for label in labels], labels)


def recipe_of(frame: SimpleNamespace, train: Any) -> Any:
    """A recipe of a rate network on ramps, whose training is `train`."""
    given = sequences(frame, 4), sequences(frame, 6)
    task = frame.recipe.Task("ramps", "drawn", LABELS, "accuracy", "sum", lambda: given, lambda *_: {"chance": 0.5})
    arguments = {"inputs": 1, "units": 2, "outputs": 2}
    return frame.recipe.Recipe("ramp-rate", "Rate RNN", "2005.02211", "ours", "RateRNN", arguments, task, train)


def answering(seeds_that_learn: tuple[int, ...]) -> Any:
    """A training after which the first neuron follows the input and says "high", or, for other seeds, always "low"."""

    def train(model: nn.Module, training: Any, seed: int, progress: Any) -> None:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
            model.B.weight[0] = 1.0  # type: ignore[union-attr, operator]
            if seed in seeds_that_learn:
                model.W.weight.copy_(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))
        progress(1.0)

    return train


def test_files_of_series_are_read_whole(frame: SimpleNamespace) -> None:
    """Nine speakers, 270 and 370 utterances of 7 to 29 ticks, twelve numbers each."""
    if find_spec("aeon") is None:
        pytest.skip("the packages that train the zoo are not installed")
    training, held_out, classes = frame.ts_files.load_ts("JapaneseVowels")
    assert (len(training.inputs), len(held_out.inputs), len(classes)) == (270, 370, 9)
    assert {x.shape[1] for x in held_out.inputs} == {12}
    assert (min(map(len, held_out.inputs)), max(map(len, held_out.inputs))) == (7, 29)
    assert torch.bincount(training.labels).tolist() == [30] * 9
    assert training.inputs[0][0, 0].item() == pytest.approx(1.860936)


@pytest.mark.compiles
def test_the_median_seed_is_kept_and_written(
    frame: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each seed is judged by its compiled step; the median's weights are those that `load_trained` finds."""
    record, held_out = frame.record, sequences(frame, 6)
    recipe = recipe_of(frame, answering((0, 2)))
    runs = frame.fit.run_seeds(recipe, 3, sequences(frame, 4), held_out)
    assert (runs.results, runs.kept) == ([1.0, 0.5, 1.0], 0)
    assert runs.spread == pytest.approx(0.2887, abs=1e-4)
    monkeypatch.setattr(record, "PACKAGE", tmp_path)
    step = {"weights": 8, "state_bytes": 8, "microseconds": 0.123456, "firing_rates": {}, "synops": 8.0, "macs": 8.0}
    precisions = {name: {"result": 1.0, "bytes": 64} for name in ("float32", "int8", "int4")}
    record.write(recipe, runs, held_out, {"step": step, "precisions": precisions, "baselines": {"chance": 0.5}})
    trained = load_trained("ramp-rate", tmp_path)
    assert trained.record.labels == LABELS
    assert trained.record.step.microseconds == 0.1235
    assert torch.equal(trained.model.W.weight, torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))
    record.renew("ramp-rate", {"step": {**step, "microseconds": 2.0}})
    renewed = json.loads((tmp_path / "ramp-rate.json").read_text())
    assert (renewed["step"]["microseconds"], renewed["seeds"]["kept"]) == (2.0, 0)
    lines = record._task("ramps", [renewed])
    assert (
        lines[-3] == "| **`ramp-rate`** Rate RNN | 8 | 83.3% ± 28.9% | 100.0% | 100.0% | 100.0% | 2 | – | 100% of 8 |"
    )
    assert lines[-2] == "| chance | | 50.0% | | | | | | |"
