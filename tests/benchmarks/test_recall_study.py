"""The study of recall: its sequences, its networks of one size, and its page."""

from __future__ import annotations

import json

import torch

from benchmarks.places import RESULTS
from benchmarks.studies import recall


def test_answers_are_the_names_that_were_told() -> None:
    """Wherever a training sequence asks, the answer is the name behind its mark, and a question comes later."""
    tokens, answers = recall.training_batch(40, 0.1, torch.Generator().manual_seed(0))
    for row, answer in zip(tokens, answers, strict=True):
        (told,) = (row == recall.TELL).nonzero().flatten().tolist()
        asked = (row == recall.ASK).nonzero().flatten()
        assert 1 <= len(asked) <= recall.ASKED
        assert told + 1 < int(asked.min())
        assert set(answer[asked].tolist()) == {int(row[told + 1])}
        assert (answer >= 0).sum() == len(asked)


def test_so_many_words_stand_between() -> None:
    """A test sequence asks at its end, after exactly so many words that follow the name."""
    tokens, names = recall.asked_batch(100, 0.0, torch.Generator().manual_seed(0))
    assert (tokens[:, 10] == recall.TELL).all()
    assert torch.equal(tokens[:, 11], names)
    between = tokens[:, 12:-1]
    assert between.shape[1] == 100
    assert bool(((between >= recall.NAMES) & (between < recall.TELL)).all())
    assert (tokens[:, -1] == recall.ASK).all()


def test_the_networks_are_of_one_size() -> None:
    """GRU and transformer have within 5 % as many weights as the AstroSNN."""
    sizes = {name: recall.count(make()) for name, make in recall.networks().items()}
    assert all(abs(size / sizes["AstroSNN"] - 1) < 0.05 for size in sizes.values())


def test_the_page_is_what_the_record_says() -> None:
    """The page of results is the rendering of the record."""
    record = json.loads((RESULTS / "recall.json").read_text(encoding="utf-8"))
    assert (RESULTS / "recall.md").read_text(encoding="utf-8") == recall.render(record)
