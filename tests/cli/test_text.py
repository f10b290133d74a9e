"""Language models with a tokenizer, from export to run and eval."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from astroedge.errors import InputError
from astroedge.runtimes import load
from astroedge.step.graph import StepGraph
from astroedge.workflows.evaluation.generate_text import printable
from astroedge.workflows.inputs.tokenizer import Tokenizer
from tests.support.builds import build
from tests.support.command import Command
from tests.support.graphs import recurrent_net, token_net
from tests.support.tiny_tokenizer import TEXT, byte_level, words

SIZE = 304  # scores: four more than there are tokens, as models have whose tables were rounded up

MODEL = f'''
import torch
from torch import nn

class Words(nn.Module):
    """A GRU between an embedding and scores, as small as can be."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.cell, self.head = nn.Embedding({SIZE}, 12), nn.GRUCell(12, 12), nn.Linear(12, {SIZE})

    def forward(self, token, h):
        h = self.cell(self.embedding(token), h)
        return 3 * self.head(h), h

def make():
    return Words().eval(), (torch.zeros(1, dtype=torch.int64),), (torch.zeros(1, 12),)
'''


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, a tokenizer and a text; graphs and bundles of other tests come beside them."""
    folder = tmp_path_factory.mktemp("text")
    (folder / "nets.py").write_text(MODEL, encoding="utf-8")
    (folder / "tokenizer.json").write_bytes(byte_level())
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def bundle(files: Path) -> Path:
    """A compiled language model of another kind, with the same tokenizer."""
    graph = token_net(SIZE).with_assets({"tokenizer.json": byte_level()})
    graph.save(files / "lm.onnx")
    build(graph).with_assets(graph.assets).save(files / "lm.astro")
    return files / "lm.astro"


@pytest.mark.compiles
def test_a_tokenizer_goes_all_the_way(astroedge_command: Command, files: Path) -> None:
    """export --tokenizer, compile, run, and the same bits per byte and perplexity of model, graph and bundle."""
    graph, made = files / "words.onnx", files / "words.astro"
    source = f"{files / 'nets.py'}:make"
    exported = astroedge_command("export", source, "--tokenizer", files / "tokenizer.json", "-o", graph)
    assert exported.code == 0, exported.err
    assert "Assets: tokenizer.json, " in astroedge_command("inspect", graph).out
    assert astroedge_command("compile", graph, "--check-ticks", "5", "-o", made).code == 0
    ran = astroedge_command("run", made, "--prompt", "Spikes carry", "--tokens", "20")
    assert ran.out.startswith("Spikes carry")
    assert re.match(r"(\d|1\d|20) tokens? in ", ran.err)
    line = ("eval", made, "--graph", graph, "--model", source, "--data", files / "text.txt", "--json", "-")
    found = json.loads(astroedge_command(*line).out)
    tokens = Tokenizer(byte_level()).encode(TEXT)
    assert (found["unit"], found["counted"], found["note"]) == ("token", len(tokens), "")
    first, *others = [item["metrics"] for item in found["contenders"]]
    bits = first["bits per byte"] * len(TEXT.encode()) / len(tokens)
    assert first["perplexity"] == pytest.approx(2**bits)
    assert bits == pytest.approx(math.log2(SIZE), rel=0.2)
    assert len(others) == 2
    for item in others:
        assert item == pytest.approx(first, rel=1e-5)


@pytest.mark.compiles
def test_text_is_that_of_its_tokens(astroedge_command: Command, bundle: Path) -> None:
    """The likeliest tokens by hand are those that are printed, and a seed gives the same text again."""
    tokenizer, tokens = Tokenizer(byte_level()), []
    with load(bundle) as session:
        scores = session.run(token=np.array(tokenizer.prompt("a state"))[:, None])["logits"][-1]
        for _ in range(25):
            tokens.append(int(scores[0, : tokenizer.size].argmax()))
            scores = session.step(token=tokens[-1])["logits"]
    line = ("run", bundle, "--prompt", "a state", "--tokens", "25")
    shown = astroedge_command(*line, "--temperature", "0").out
    expected = tokenizer.decode(tokens[: tokens.index(0)] if 0 in tokens else tokens)
    assert shown == f"a state{printable(expected)}\n"
    several = [
        astroedge_command(*line, "--seed", seed, "--top-p", "0.9", "--min-p", "0.01", "--repetition-penalty", "1.2").out
        for seed in "112"
    ]
    assert several[0] == several[1] != several[2]


@pytest.mark.compiles
def test_a_text_ends_before_its_stop(astroedge_command: Command, bundle: Path) -> None:
    """--stop cuts what is printed, and nothing is written behind it; a special token's name ends a text too."""
    line = ("run", bundle, "--prompt", "a", "--tokens", "60", "--seed", "5", "--stop", "<|endoftext|>")
    whole = astroedge_command(*line)
    text = whole.out[1:-1]
    stop = text[8:11]
    cut = astroedge_command(*line, "--stop", stop, "--stop", "never")
    assert cut.out == "a" + text[: text.index(stop)] + "\n"
    assert int(cut.err.split()[0]) < int(whole.err.split()[0])


@pytest.mark.compiles
def test_what_a_tokenizer_loses_is_said(astroedge_command: Command, files: Path) -> None:
    """A text that does not come back has a note; no UTF-8 is refused; two tokenizers have no common text."""
    graph = token_net(SIZE)
    build(graph).with_assets({"tokenizer.json": words()}).save(files / "classes.astro")
    (files / "unknown.txt").write_text("spikes carry nothing")
    shown = astroedge_command("eval", files / "classes.astro", "--data", files / "unknown.txt")
    assert "3 tokens" in shown.out
    assert "Note: the tokenizer does not give this text back" in shown.out
    (files / "bytes.txt").write_bytes(b"\xff\xfe")
    refused = astroedge_command("eval", files / "classes.astro", "--data", files / "bytes.txt")
    assert refused.failed_with(60), refused
    graph.with_assets({"tokenizer.json": byte_level()}).save(files / "other.onnx")
    refused = astroedge_command(
        "eval", files / "classes.astro", "--graph", files / "other.onnx", "--data", files / "unknown.txt"
    )
    assert refused.failed_with(60), refused
    assert "has another tokenizer.json than" in refused.err


def test_a_tokenizer_must_fit_the_scores(astroedge_command: Command, files: Path, tmp_path: Path) -> None:
    """More tokens than scores are refused with both numbers, and so is a step that reads none."""
    (tmp_path / "tokenizer.json").write_bytes(byte_level(310))
    source = f"{files / 'nets.py'}:make"
    line = ("export", source, "--check-ticks", "2", "-o", tmp_path / "net.onnx", "--tokenizer")
    result = astroedge_command(*line, tmp_path / "tokenizer.json")
    assert result.failed_with(60), result
    assert "The tokenizer has 310 tokens and the first output 'y' has 304 scores" in result.err
    (tmp_path / "tokenizer.json").write_bytes(b"{}")
    assert "is no tokenizer" in astroedge_command(*line, tmp_path / "tokenizer.json").err
    assert not (tmp_path / "net.onnx").exists()


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (token_net(299), "300 tokens and the first output 'logits' has 299 scores"),
        (recurrent_net(), "whose only input is one token"),
    ],
)
def test_a_graph_takes_a_tokenizer_that_fits(graph: StepGraph, message: str) -> None:
    """The same of `with_assets`, which needs no package for it."""
    with pytest.raises(InputError, match=message):
        graph.with_assets({"tokenizer.json": byte_level()})
