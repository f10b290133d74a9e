"""The recipes that tell speakers apart: both train the step that is exported, on utterances of several lengths."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest
import torch

from astroedge.models.build_model import build_model
from tests.support.zoo_modules import zoo_module


@pytest.fixture(scope="module")
def task() -> Iterator[ModuleType]:
    """The file of the task."""
    with zoo_module("recipes.spoken_vowels") as module:
        yield module


def utterances() -> SimpleNamespace:
    """Forty utterances of 7 to 16 ticks around 3, of four speakers with a feature each that is higher than the rest."""
    labels, draw = torch.arange(40) % 4, torch.Generator().manual_seed(1)
    inputs = [3 + torch.randn((7 + index // 4, 12), generator=draw) for index in range(40)]
    for x, label in zip(inputs, labels.tolist(), strict=True):
        x[:, label] += 3
    return SimpleNamespace(inputs=inputs, labels=labels)


@pytest.mark.parametrize("name", ["delays-vowels", "elm-vowels"])
def test_a_recipe_trains_the_step_that_is_exported(
    task: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few epochs move weights and delays, and the step's sum over raw ticks then tells the speakers apart."""
    monkeypatch.setattr(task, "EPOCHS", 10)
    monkeypatch.setattr(task, "POSITION_RATE", 0.5)
    monkeypatch.setattr(task, "ELM_EPOCHS", 10)
    recipe = next(recipe for recipe in task.RECIPES if recipe.name == name)
    torch.manual_seed(0)
    model, data, told = build_model(recipe.model, recipe.arguments), utterances(), list[float]()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    recipe.train(model, data, 0, told.append)
    assert told == sorted(told)
    assert (len(told), told[-1]) == (10, 1.0)
    still = {key for key, value in model.state_dict().items() if torch.equal(value, before[key])}
    assert still == ({"network.threshold"} if name == "delays-vowels" else {"table", "wired", "tau_s"})
    right = 0
    with torch.no_grad():
        for x, label in zip(data.inputs, data.labels.tolist(), strict=True):
            state, scores = model.initial_state(1), torch.zeros(1, 9)
            for tick in x:
                y, *state = model(tick[None], *state)
                scores = scores + y
            right += int(scores.argmax()) == label
    assert right >= 30


def test_a_varied_utterance_is_still_itself(task: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without noise it begins and ends as it did and is 0.8 to 1.2 times as long; noise is as wide as a feature."""
    x, draw = torch.linspace(0, 1, 20)[:, None] * torch.ones(12), torch.Generator().manual_seed(2)
    noisy = torch.cat([task._varied(0 * x, torch.full((12,), 2.0), draw) for _ in range(200)])
    assert noisy.std().item() == pytest.approx(2 * task.NOISE * 2**0.5, rel=0.1)
    monkeypatch.setattr(task, "NOISE", 0.0)
    varied = [task._varied(x, torch.ones(12), draw) for _ in range(50)]
    assert all(torch.allclose(y[[0, -1]], x[[0, -1]]) for y in varied)
    assert (min(map(len, varied)), max(map(len, varied))) == (16, 24)


def test_a_batch_says_where_utterances_go_on(task: ModuleType) -> None:
    """Utterances of 3 and 5 ticks are a batch of 5, the shorter one zero behind its end."""
    x, valid = task._padded([torch.ones(3, 12), torch.ones(5, 12)])
    assert valid.sum(0).tolist() == [3, 5]
    assert torch.equal(x, valid[..., None].float().expand(5, 2, 12))


def test_the_task_is_what_the_data_is(task: ModuleType) -> None:
    """270 utterances for training, thirty a speaker, and 370 held out, 7 to 29 ticks of 12 features."""
    training, held_out = task.load()
    assert training.labels.bincount().tolist() == [30] * len(task.SPEAKERS)
    assert (len(held_out.inputs), int(held_out.labels.max())) == (370, 8)
    lengths = [len(x) for series in (training, held_out) for x in series.inputs]
    assert (min(lengths), max(lengths)) == (7, 29)
    assert {x.shape[1] for x in training.inputs} == {12}
