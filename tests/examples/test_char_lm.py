"""The language-model example: its split, its n-grams, its training loop and the checkpoint that is committed."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Iterator
from pydoc_data.topics import topics
from types import ModuleType

import pytest
import torch

from astroedge.models import AstroSNN, AstroSNNConfig, load_checkpoint
from tests.support.places import ROOT

FOLDER = ROOT / "examples" / "char_lm"
MODULES = ("corpus", "evaluate", "kneser_ney", "train")


@pytest.fixture(scope="module")
def example() -> Iterator[dict[str, ModuleType]]:
    """The example's files, imported the way they import each other."""
    sys.path.insert(0, str(FOLDER))
    try:
        yield {name: __import__(name) for name in MODULES}
    finally:
        sys.path.remove(str(FOLDER))
        for name in MODULES:
            sys.modules.pop(name, None)


def test_the_split_follows_the_names(example: dict[str, ModuleType]) -> None:
    """A topic's side depends on its name alone, about a tenth is held out, and tuning sees none of it."""
    corpus = example["corpus"]
    assert corpus.name_fraction("while") == pytest.approx(0.029914, abs=1e-6)
    held_out = {name for name in topics if corpus.name_fraction(name) < corpus.HELD_OUT_BELOW}
    assert {"class", "for", "while", "with"} <= held_out
    assert not {"import", "lambda", "compound"} & held_out
    final, tuning = corpus.load_corpus(), corpus.load_corpus(tuning=True)
    share = sum(map(len, final.held_out)) / sum(map(len, final.held_out + final.training))
    assert 0.05 < share < 0.15
    assert len(final.held_out) == len(held_out)
    assert not set(final.held_out) & set(tuning.held_out + tuning.training)


def test_no_held_out_paragraph_is_trained_on(example: dict[str, ModuleType]) -> None:
    """Topics repeat each other; what is held out is removed from the training text, however it is indented."""
    corpus = example["corpus"].load_corpus()
    sides = [
        {" ".join(part.split()) for text in side for part in example["corpus"].paragraphs(text.decode())}
        for side in (corpus.training, corpus.held_out)
    ]
    assert min(map(len, sides)) > 100
    assert not sides[0] & sides[1]


@pytest.mark.parametrize("context", [b"", b"th", b"in the ", b"\xff\xfe", b"zzzzzzz"])
def test_kneser_ney_probabilities_sum_to_one(example: dict[str, ModuleType], context: bytes) -> None:
    """After seen, partly seen and unseen contexts the 256 probabilities are positive and sum to one."""
    model = example["kneser_ney"].KneserNey(b"in the beginning there was the word, and the thing is that " * 3, 5)
    probabilities = [model.probability(byte, context) for byte in range(256)]
    assert min(probabilities) > 0
    assert sum(probabilities) == pytest.approx(1.0, abs=1e-12)


def test_kneser_ney_equals_a_case_by_hand(example: dict[str, ModuleType]) -> None:
    """On `abab` every discount is ½: P(b | a) = (2 − ½) / 2 + ½ / 2 · P(b), P(b) = (1 − ½) / 2 + ½ / 256."""
    model = example["kneser_ney"].KneserNey(b"abab", 2)
    single, after_a = 0.25 + 0.5 / 256, 0.75 + 0.25 * (0.25 + 0.5 / 256)
    assert model.probability(ord("b"), b"") == pytest.approx(single)
    assert model.probability(ord("b"), b"xa") == pytest.approx(after_a)
    assert model.bits_per_byte(b"ab") == pytest.approx(-(math.log2(single) + math.log2(after_a)) / 2)


def test_training_lowers_the_loss(example: dict[str, ModuleType]) -> None:
    """Forty steps of a tiny network on a repeated sentence bring the loss down by half a bit at the least."""
    torch.manual_seed(0)
    model = AstroSNN(AstroSNNConfig(width=16, heads=2, feed_forward=24, layers=1))
    history = example["train"].train(model, [b"spikes carry the text from here to there. " * 100], steps=40, seed=0)
    assert len(history) == 40
    assert sum(history[-5:]) / 5 < sum(history[:5]) / 5 - 0.5


def test_lanes_go_on_where_they_stopped(example: dict[str, ModuleType]) -> None:
    """Each lane's windows overlap by the one byte that was only a target, and a pass begins with fresh state."""
    windows = example["train"].stream_windows([bytes(range(256)) * 100], random.Random(0))
    (first, fresh), (second, again) = next(windows), next(windows)
    assert fresh
    assert not again
    assert first.shape == second.shape
    assert torch.equal(first[:, -1], second[:, 0])


def test_the_rate_penalty_wants_rates_inside_the_band(example: dict[str, ModuleType]) -> None:
    """Inside the band it is zero; above and below it grows with the square of the distance."""
    train = example["train"]
    inside, above = torch.full((4, 2, 3), train.LOWEST_RATE + 0.01), torch.full((4, 2, 3), train.HIGHEST_RATE + 0.1)
    assert train.rate_penalty({"a": inside}) == 0
    assert train.rate_penalty({"a": inside, "b": above}).item() == pytest.approx(0.01, rel=1e-4)


def test_the_committed_checkpoint_is_small_and_fires_sparsely(example: dict[str, ModuleType]) -> None:
    """It is at most 2 MB, beats a 3-gram on held-out text, and every hidden spike tensor fires between 3 and 20 %."""
    path = FOLDER / "astrosnn.safetensors"
    assert path.stat().st_size <= 2_000_000
    corpus = example["corpus"].load_corpus()
    text = b"".join(corpus.held_out)[:6000]
    bits, rates = example["evaluate"].measure(load_checkpoint(path), text)
    assert bits < example["kneser_ney"].KneserNey(b"".join(corpus.training), 3).bits_per_byte(text)
    assert len(rates) == 6 * load_checkpoint(path).config.layers
    for name, rate in rates.items():
        assert 0.03 <= rate <= 0.20, name
