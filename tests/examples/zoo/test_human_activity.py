"""The recipes for human activity: each trains, in the network that is exported, and the data is what the task says."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor

from astroedge.models.build_model import build_model
from tests.support.zoo_modules import zoo_module

NAMES = ("l2mu-har", "astrosnn-har", "alif-har")


@pytest.fixture(scope="module")
def task() -> Iterator[ModuleType]:
    """The file of the task."""
    with zoo_module("recipes.human_activity") as module:
        yield module


def recordings() -> SimpleNamespace:
    """Eight recordings of 30 ticks, each class with a loudness of its own."""
    labels = torch.arange(8) % 4
    draw = torch.Generator().manual_seed(1)
    return SimpleNamespace(
        inputs=[2 + (1 + label) * torch.randn((30, 6), generator=draw) for label in labels.tolist()], labels=labels
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_trains_the_step_that_is_exported(task: ModuleType, name: str) -> None:
    """Rounds of two updates move every weight, mean and scale are the data's, and a run gives the step's outputs."""
    recipe = next(recipe for recipe in task.RECIPES if recipe.name == name)
    torch.manual_seed(0)
    model, data, told = build_model(recipe.model, recipe.arguments), recordings(), list[float]()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    training = type(recipe.train)(recipe.train.run, updates=2, window=20)
    training(model, data, 0, told.append)
    after = model.state_dict()
    assert told[:2] == [0.5, 1.0]
    fixed = {"cell.A", "cell.B"}
    assert {key for key, value in before.items() if torch.equal(value, after[key])} <= fixed
    torch.testing.assert_close(after["standardise.mean"], torch.cat(data.inputs).mean(0))

    x = torch.stack(data.inputs, 1)
    with torch.no_grad():
        outputs, spikes = recipe.train.run(model.double(), x.double())
        torch.testing.assert_close(outputs, stepped(model, x.double()), rtol=1e-9, atol=1e-9)
    assert all(set(tensor.unique().tolist()) <= {0.0, 1.0} for tensor in spikes)


def stepped(model: torch.nn.Module, x: Tensor) -> Tensor:
    """The outputs of the step in evaluation mode, tick by tick."""
    state = [tensor.double() for tensor in model.eval().initial_state(x.shape[1])]
    outputs = []
    for tick in x:
        output, *state = model(tick, *state)
        outputs.append(output)
    return torch.stack(outputs)


def test_a_varied_recording_is_turned_and_no_other_is_mixed_in(
    task: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without noise and gain each recording is its own, begun at one of its ticks, all channels together."""
    x = torch.arange(7.0)[:, None, None] + 100 * torch.arange(3.0)[:, None] + 1000 * torch.arange(2.0)
    monkeypatch.setattr(task, "NOISE", 0.0)
    monkeypatch.setattr(task, "GAIN", 0.0)
    turned = task.varied(x, torch.Generator().manual_seed(3))
    starts = turned[0, :, 0] % 100
    assert len(starts.unique()) > 1
    for index, start in enumerate(starts.int().tolist()):
        assert torch.equal(turned[:, index], x[:, index].roll(-start, 0))


def test_the_task_is_what_the_data_is(task: ModuleType) -> None:
    """Forty recordings for training and forty held out, 100 ticks of six channels, ten a class."""
    training, held_out = task.load()
    for series in (training, held_out):
        assert {tuple(x.shape) for x in series.inputs} == {(100, 6)}
        assert series.labels.bincount().tolist() == [10, 10, 10, 10]
    assert held_out.labels[:5].tolist() == [0, 1, 2, 3, 0]
    loudness = [
        torch.stack([x for x, y in zip(training.inputs, training.labels, strict=True) if y == label]).std()
        for label in range(4)
    ]
    assert task.TASK.labels[int(torch.stack(loudness).argmin())] == "standing"
