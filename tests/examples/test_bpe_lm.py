"""The language model of word parts: corpus, tokenizer, n-grams, training run and the checkpoint that is committed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from astroedge.models import AstroSNNConfig, load_checkpoint
from tests.support.places import ROOT

FOLDER = ROOT / "examples" / "bpe_lm"
MODULES = ("english", "make_tokenizer", "n_grams", "training", "train_lm", "measure_lm")
TINY = AstroSNNConfig(vocabulary=300, width=16, heads=2, feed_forward=24, layers=1)


@pytest.fixture(scope="module")
def example() -> Iterator[dict[str, ModuleType]]:
    """The example's files, and the byte n-grams next door, imported the way they import each other."""
    folders = [str(FOLDER), str(FOLDER.parent / "char_lm")]
    sys.path[:0] = folders
    try:
        yield {name: __import__(name) for name in (*MODULES, "kneser_ney")}
    finally:
        for folder in folders:
            sys.path.remove(folder)
        for name in (*MODULES, "kneser_ney"):
            sys.modules.pop(name, None)


def test_the_corpus_is_the_same_every_time(example: dict[str, ModuleType]) -> None:
    """Two readings of one package give one text, split by the documents' names, and no paragraph is there twice."""
    english = example["english"]
    first, again = (english.load_corpus(["Python's documentation topics", "numpy"]) for _ in range(2))
    assert first == again
    assert first.fingerprint() == again.fingerprint()
    lines = [line for text in first.training + first.held_out for line in text.splitlines() if line]
    assert len(lines) > 3000
    assert len(set(lines)) == len(lines)
    share = sum(map(len, first.held_out)) / sum(map(len, first.training + first.held_out))
    assert 0.01 < share < 0.06


def test_held_out_names_are_those_of_the_byte_model(example: dict[str, ModuleType]) -> None:
    """A topic that is held out here was held out from the byte-level network too, and tuning sees none of it."""
    english = example["english"]
    assert english.name_fraction("while") == pytest.approx(0.029914, abs=1e-6)
    final, tuning = (english.load_corpus([english.TOPICS], tuning=tuning) for tuning in (False, True))
    assert any('"while" statement' in text for text in final.held_out)
    assert english.HELD_OUT_BELOW < 0.125
    assert not set(final.held_out) & set(tuning.held_out + tuning.training)


def test_prose_is_told_from_code(example: dict[str, ModuleType]) -> None:
    """Of a docstring the sentences are left, a parameter's description among them, each as one line."""
    english = example["english"]
    text = """Return the sum of what is given,
    as a number of the same kind.

    Parameters
    ----------
    values : array_like
        Numbers to be added up, in any order
        that is convenient to the caller.

    >>> total([1, 2, 3]) is a call that returns six.
    """
    assert list(filter(english.is_prose, english.paragraphs(text))) == [
        "Return the sum of what is given, as a number of the same kind.",
        "Numbers to be added up, in any order that is convenient to the caller.",
    ]


def test_documents_are_tokens_of_one_text(example: dict[str, ModuleType]) -> None:
    """A document's tokens are those it has where all documents stand in one text, and decode to it."""
    from tokenizers import Tokenizer

    texts = ["Spikes are exact in it.\nSo is silence, always.\n\n", "A tick is a token; a state goes on.\n\n"]
    tokens = [tensor.tolist() for tensor in example["make_tokenizer"].read_documents(texts)]
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == 4096
    assert [token for ids in tokens for token in ids] == tokenizer.encode("".join(texts) + "X").ids[:-1]
    assert [tokenizer.decode(ids) for ids in tokens] == texts


def test_the_tokenizer_is_the_same_every_time(example: dict[str, ModuleType]) -> None:
    """The same texts give the same file, byte for byte."""
    english, make = example["english"], example["make_tokenizer"].make_tokenizer
    texts = english.load_corpus([english.TOPICS]).training
    assert make(texts, 600).to_str() == make(texts, 600).to_str()


@pytest.mark.parametrize("order", [1, 3, 5])
def test_n_grams_of_bytes_equal_those_of_the_byte_model(example: dict[str, ModuleType], order: int) -> None:
    """Counting by sorting gives what the dictionaries of examples/char_lm give."""
    english = example["english"]
    corpus = english.load_corpus([english.TOPICS])
    training, held_out = "".join(corpus.training).encode()[:20000], "".join(corpus.held_out).encode()[:1000]
    ours = example["n_grams"].NGrams(np.frombuffer(training, np.uint8), order, 256)
    bits = ours.bits_of(np.frombuffer(held_out, np.uint8), ord("\n")) / len(held_out)
    assert bits == pytest.approx(example["kneser_ney"].KneserNey(training, order).bits_per_byte(held_out), rel=1e-12)


def test_a_run_that_was_left_off_comes_to_the_same_weights(example: dict[str, ModuleType], tmp_path: Path) -> None:
    """Saved in the middle of a pass and taken up by another process's worth of objects, it ends with the same bits."""
    training = example["training"]
    schedule = replace(training.Schedule(), steps=12, lanes=2, window=8, warm_up=3)
    generator = torch.Generator().manual_seed(0)
    documents = [torch.randint(300, (20 + size,), generator=generator) for size in range(8)]

    def begin() -> object:
        return training.Training(TINY, schedule, training.Text(documents, schedule))

    whole = begin()
    assert 1 < whole.text.steps_of_pass < 12
    for _ in range(12):
        whole.advance()
    first = begin()
    for _ in range(7):
        first.advance()
    first.save(tmp_path / "run.pt", "text")
    second = begin()
    torch.manual_seed(99)
    second.resume(tmp_path / "run.pt", "text")
    for _ in range(5):
        second.advance()
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name
    assert second.seconds > first.seconds


def test_another_run_is_not_taken_up(example: dict[str, ModuleType], tmp_path: Path) -> None:
    """A saved run of another text or schedule is refused, and the message says which of them differs."""
    training = example["training"]
    schedule = replace(training.Schedule(), steps=2, lanes=2, window=8)
    text = training.Text([torch.arange(100)], schedule)
    training.Training(TINY, schedule, text).save(tmp_path / "run.pt", "text")
    with pytest.raises(ValueError, match="another corpus"):
        training.Training(TINY, schedule, text).resume(tmp_path / "run.pt", "other text")
    with pytest.raises(ValueError, match="another schedule"):
        training.Training(TINY, replace(schedule, rate=1.0), text).resume(tmp_path / "run.pt", "text")


@pytest.mark.parametrize("harm", ["empty", "cut", "flipped"])
def test_a_damaged_run_is_refused(harm: str, example: dict[str, ModuleType], tmp_path: Path) -> None:
    """What is not whole is not taken up, but named."""
    training, path = example["training"], tmp_path / "run.pt"
    schedule = training.Schedule(steps=4, lanes=2, window=8)
    text = training.Text([torch.arange(200) % 300], schedule)
    training.Training(TINY, schedule, text).save(path, "text")
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "flipped": whole}[harm])
    with pytest.raises(ValueError, match=r"run\.pt is damaged"):
        training.Training(TINY, schedule, text).resume(path, "text")


def test_no_steps_are_refused_before_anything_is_written(example: dict[str, ModuleType], tmp_path: Path) -> None:
    """A run of no steps would replace the checkpoint by untrained weights."""
    del example
    command = [sys.executable, FOLDER / "train_lm.py", "--steps", "0", "--out", tmp_path / "net.safetensors"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "--steps must be at least 1" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_run_can_be_lengthened_until_its_rate_falls(example: dict[str, ModuleType]) -> None:
    """Of 100 steps the last 25 fall: after 75 the run leads on to 200 steps, after 76 it does not, nor to 99."""
    short = replace(example["training"].Schedule(), steps=100, warm_up=10)
    long, shorter = replace(short, steps=200), replace(short, steps=99)
    assert [short.factor(step) for step in (0, 9, 75, 99)] == [0.1, 1.0, 1.0, 0.04]
    assert all(short.factor(step) == long.factor(step) for step in range(75))
    assert long.leads_on(short, 75)
    assert short.leads_on(long, 75)
    assert not long.leads_on(short, 76)
    assert not shorter.leads_on(short, 75)
    assert short.leads_on(short, 90)


def test_the_page_is_what_the_records_say(example: dict[str, ModuleType]) -> None:
    """The README's tables are the rendering of the two records, which are of one corpus and of what is committed."""
    measured = example["measure_lm"]
    results, training = (json.loads((FOLDER / f"{name}.json").read_text("utf-8")) for name in ("results", "training"))
    page = measured.README.read_text(encoding="utf-8")
    assert page.split(measured.BEGIN)[1].split(measured.END)[0] == measured.render(results, training)
    assert results["corpus"] == training["corpus"]
    assert training["config"] == json.loads(json.dumps(vars(load_checkpoint(measured.CHECKPOINT).config)))


def test_the_committed_checkpoint_is_large_and_sparse(example: dict[str, ModuleType]) -> None:
    """At least five million weights in at most 15 MB, and below 6.7 bits a token where NumPy's held-out text begins."""
    measured, english = example["measure_lm"], example["english"]
    assert measured.CHECKPOINT.stat().st_size <= 15_000_000
    model = load_checkpoint(measured.CHECKPOINT)
    assert sum(parameter.numel() for parameter in model.parameters()) >= 5_000_000
    held_out = english.load_corpus(["numpy"]).held_out[:4]
    tokens = torch.cat(example["make_tokenizer"].read_documents(held_out))[:1500]
    with torch.no_grad():
        logits, _ = model(tokens[None, :-1])
    bits = torch.nn.functional.cross_entropy(logits[0], tokens[1:]).item() / np.log(2)
    assert bits < 6.7
    for name, rate in measured.firing_rates(model, tokens[:1024]).items():
        assert 0.02 <= rate <= 0.20, name
