"""Recipes of the byte-level text: windows cover the excerpts, and every network learns through its training form."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from types import ModuleType

import pytest
import torch

from astroedge.models.build_model import build_model
from tests.support.zoo_modules import zoo_module

NAMES = ("astrosnn-text", "bdh-text", "spikegpt-text", "egru-text")


@pytest.fixture(scope="module")
def text() -> Iterator[ModuleType]:
    """The file of the task."""
    with zoo_module("recipes.text") as module:
        yield module


def test_windows_cover_every_excerpt(text: ModuleType) -> None:
    """In one pass each byte of every text but its first is asked once, after the byte before it."""
    texts = [torch.arange(1, 1 + length) for length in (300, 40, text.EXCERPT + 90)]
    pairs: list[tuple[int, int]] = []
    for tokens, following, _ in islice(text.Windows(texts, random.Random(1), text.WINDOW), text.EXCERPT // text.WINDOW):
        asked = following != text.NOTHING
        pairs += zip(tokens[asked].tolist(), following[asked].tolist(), strict=True)
    assert {(after - before) for before, after in pairs} == {1}
    wanted = {(value, value + 1) for piece in texts for value in piece[:-1].tolist()}
    assert wanted <= set(pairs)


def test_a_lane_goes_on_where_it_ended(text: ModuleType) -> None:
    """A window begins with the byte its lane was last asked for, and the flag is up where an excerpt begins."""
    texts = [torch.arange(1000 * i, 1000 * i + 100) for i in range(text.LANES)]
    first, second = islice(text.Windows(texts, random.Random(1), 32), 2)
    assert first[2].all()
    assert not second[2].any()
    assert torch.equal(second[0][:, 0], first[1][:, -1])


@pytest.mark.parametrize("name", NAMES)
def test_a_few_updates_teach_the_step(text: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six updates on one sentence lower its bits per byte, as the step reads it tick by tick, in each network."""
    monkeypatch.setattr(text, "WARM_UP", 2)
    recipe = next(recipe for recipe in text.RECIPES if recipe.name == name)
    sentence = text._series([b"A line of text, and a line of text. " * 20])
    torch.manual_seed(0)
    model = build_model(recipe.model, recipe.arguments)
    before = surprise(model, sentence.inputs[0][:40])
    budget = replace(recipe.train.keywords["budget"], steps=6)
    recipe.train(model, sentence, 0, lambda share: None, budget=budget)
    assert not model.training
    assert surprise(model, sentence.inputs[0][:40]) < before - 0.3


def surprise(model: torch.nn.Module, tokens: torch.Tensor) -> float:
    """Mean −ln of the probabilities of `tokens` after the first, by the step."""
    model.eval()
    state, logits = model.initial_state(1), []  # type: ignore[operator]
    with torch.no_grad():
        for token in tokens[:-1]:
            output, *state = model(token[None], *state)
            logits.append(output[0])
    return float(torch.nn.functional.cross_entropy(torch.stack(logits), tokens[1:]))
