"""The recipe of N-parity: what is asked, how N grows, and what the step keeps."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest
import torch

from astroedge.models.build_model import build_model
from tests.support.zoo_modules import zoo_module


@pytest.fixture(scope="module")
def parity() -> Iterator[ModuleType]:
    """The file of the task."""
    with zoo_module("recipes.parity") as module:
        yield module


def test_sequences_ask_for_the_last_bits(parity: ModuleType) -> None:
    """Lengths are N + 2 … 4 N + 1, values 0 and 1, labels the parity of the last N, and two seeds differ."""
    series = parity.sequences(3, torch.Generator().manual_seed(1))
    assert {len(bits) for bits in series.inputs} == set(range(5, 14))
    assert {value for bits in series.inputs for value in bits.flatten().tolist()} == {0.0, 1.0}
    assert series.labels.tolist() == [int(bits[-3:].sum()) % 2 for bits in series.inputs]
    assert 0.4 < series.labels.float().mean() < 0.6
    training, held_out = parity.load()
    assert training.labels.tolist() != held_out.labels.tolist()


def test_training_grows_and_keeps_the_last_head(parity: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """With N up to 2, which it learns in a hundred steps or so, the step's one head answers nearly all sequences."""
    monkeypatch.setattr(parity, "LAST", 2)
    monkeypatch.setattr(parity, "SETTLING", 20)
    (recipe,) = parity.RECIPES
    torch.manual_seed(0)
    model = build_model(recipe.model, recipe.arguments)
    recipe.train(model, parity.sequences(2, torch.Generator().manual_seed(1)), 0, lambda share: None)
    bits = parity.draw(2, 200, torch.Generator().manual_seed(2))
    (h,) = model.initial_state(200)  # type: ignore[operator]
    with torch.no_grad():
        for tick in bits:
            scores, h = model(tick, h)
    assert scores.shape == (200, 1, 2)
    assert (scores[:, 0].argmax(-1) == parity.parity(bits, 2)).float().mean() > 0.95
