"""Tokenizers: what they put around a text, and that text comes back in pieces as whole as at once."""

from __future__ import annotations

import json

import numpy as np
import pytest

from astroedge.errors import InputError
from astroedge.workflows.inputs.tokenizer import Tokenizer
from tests.support.interpreters import run_with_only
from tests.support.tiny_tokenizer import TEXT, byte_fallback, byte_level, words


@pytest.mark.parametrize("content", [byte_level(), byte_fallback()])
@pytest.mark.parametrize("prompt", ["", "a state", "a sta"])
def test_a_text_in_pieces_is_the_text_at_once(content: bytes, prompt: str) -> None:
    """Blanks between words and characters of several bytes come as in one decoding, each character whole."""
    tokenizer = Tokenizer(content)
    first = tokenizer.prompt(prompt)
    tokens = tokenizer.encode(TEXT)
    pieces = list(tokenizer.pieces(first, tokens))
    assert "".join(pieces) == tokenizer.decode([*first, *tokens])[len(tokenizer.decode(first)) :]
    assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces)
    assert len(pieces) == len(tokens) + 1
    assert sum(piece == "" for piece in pieces) < len(pieces) / 2


def test_a_character_comes_with_its_last_byte() -> None:
    """Nothing of a character of four bytes is shown before it is whole; what never is comes last, as U+FFFD."""
    tokenizer = Tokenizer(byte_fallback())
    smile = [tokenizer.encode("🙂")[-4:][index] for index in range(4)]
    assert list(tokenizer.pieces(tokenizer.prompt("a"), [*smile, *smile[:2]])) == ["", "", "", "🙂", "", "", "��"]


def test_any_tokens_come_back_as_they_are_decoded() -> None:
    """Random tokens, most of them no UTF-8, are shown as they are decoded in the end."""
    tokenizer = Tokenizer(byte_level())
    tokens = np.random.default_rng(0).integers(0, tokenizer.size, 200).tolist()
    shown = "".join(tokenizer.pieces(tokenizer.prompt("a"), tokens))
    assert shown == tokenizer.decode(tokens)


def test_what_stands_around_a_text_is_found() -> None:
    """The tokens before a prompt, those that end a text, and what begins a text that has no prompt."""
    gpt, llama, classes = Tokenizer(byte_level()), Tokenizer(byte_fallback()), Tokenizer(words())
    assert (gpt.ends, gpt.start, gpt.prompt("")) == ({0}, [0], [0])
    assert gpt.prompt("a") == gpt.encode("a")
    assert (llama.ends, llama.start, llama.prompt("")) == ({1}, [0], [0])
    assert llama.prompt("a") == [0, *llama.encode("a")]
    assert (classes.ends, classes.start, classes.prompt("state")) == ({2}, [1], [1, 5])
    assert [gpt.end_of("<|endoftext|>"), gpt.end_of("a")] == [0, None]


def test_a_tokenizer_that_cuts_off_reads_all() -> None:
    """Truncation and padding, which a file may ask for, are for batches of a classifier."""
    tokenizer = Tokenizer(words())
    assert tokenizer.encode("spikes carry state " * 3) == [3, 4, 5] * 3


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[1]", b"\xff", b'{"model": {"vocab": {"a": "b"}}}', b'{"model": {"vocab": {}}}', b"[" * 100_000],
)
def test_what_is_no_tokenizer_is_refused(content: bytes) -> None:
    """Nothing, other JSON, no UTF-8, a vocabulary of texts, none, and what is nested without end."""
    with pytest.raises(InputError, match=r"file\.json is no tokenizer as"):
        Tokenizer(content, "file.json")


@pytest.mark.parametrize("change", [{"type": "Future"}, {"continuing_subword_prefix": "x" * 100}])
def test_what_the_package_does_not_read_is_refused(change: dict[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    """A model that does not exist, and a file at which the package panics, are one line and nothing is printed."""
    record = json.loads(byte_level())
    record["model"] |= change
    with pytest.raises(InputError, match=r"is no tokenizer that tokenizers [\d.]+ reads"):
        Tokenizer(json.dumps(record).encode())
    assert capfd.readouterr() == ("", "")


def test_half_a_character_is_no_text() -> None:
    """What a command line had in no UTF-8 is refused in a line."""
    with pytest.raises(InputError, match="no UTF-8"):
        Tokenizer(byte_level()).encode("a\udcff")


def test_without_the_package_the_extra_is_named() -> None:
    """`tokenizers` is imported where a tokenizer is used, and its lack names the extra."""
    code = f"""
from astroedge.errors import MissingDependencyError
from astroedge.workflows.inputs.tokenizer import Tokenizer
try:
    Tokenizer({byte_level()!r})
except MissingDependencyError as error:
    print(error)
"""
    result = run_with_only(("numpy",), code)
    assert 'a model with a tokenizer needs it: pip install "astroedge[text]"' in result.stdout, result.stderr
