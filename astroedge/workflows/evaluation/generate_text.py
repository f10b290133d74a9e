"""Text from a language model: one tick a token, which is a byte where the step has no tokenizer."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from astroedge.runtimes.generation.generate import Wanted as Wanted
from astroedge.runtimes.generation.generate import continue_tokens as continue_tokens
from astroedge.runtimes.generation.sampling import Sampling as Sampling
from astroedge.step.spec import StepSpec
from astroedge.step.tokenizer_file import check_tokenizer
from astroedge.workflows.inputs.tokenizer import Tokenizer

BYTES = 256
START = b"\n"  # what comes before a text without a prompt: the end of a line


class Codec(Protocol):
    """What turns text into tokens and back: bytes, or a tokenizer, whose docstring says what the members are."""

    unit: str
    size: int
    ends: frozenset[int]

    def prompt(self, text: str) -> list[int]:
        """The tokens that a step reads before it continues a text; never none."""
        ...

    def end_of(self, text: str) -> int | None:
        """The token that a text stands for and that is never shown."""
        ...

    def pieces(self, prompt: Sequence[int], produced: Iterable[int]) -> Iterator[str]:
        """What each token adds to the text, as soon as its last character is whole."""
        ...


class Bytes:
    """UTF-8: a token is a byte, nothing ends a text, and a text without a prompt follows a line end."""

    unit, size, ends = "byte", BYTES, frozenset[int]()

    def prompt(self, text: str) -> list[int]:
        """The bytes of a text; those of a command line that are no UTF-8 are as they were typed."""
        return list(text.encode("utf-8", "surrogateescape") or START)

    def end_of(self, text: str) -> int | None:
        """None: every byte is shown."""
        return None

    def pieces(self, prompt: Sequence[int], produced: Iterable[int]) -> Iterator[str]:
        """Each character once its last byte is there; what is no UTF-8 as U+FFFD."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for byte in produced:
            yield decoder.decode(bytes((byte,)))
        yield decoder.decode(b"", final=True)


def is_byte_model(step: StepSpec) -> bool:
    """Whether a step is a byte-level language model: one token of 256 goes in, and 256 logits come out first."""
    if len(step.inputs) != 1 or not step.outputs:
        return False
    token, logits = step.inputs[0], step.outputs[0]
    reads_bytes = token.size == 1 and token.index_range == (0, BYTES)
    return reads_bytes and logits.size == BYTES and logits.dtype.startswith("float")


def find_codec(step: StepSpec, tokenizer: bytes | None) -> Codec | None:
    """What a step's tokens stand for: those of its tokenizer, or bytes; None for a step that is no language model.

    Raises InputError for a tokenizer that does not fit the step, MissingDependencyError where `tokenizers` is not
    installed.
    """
    if tokenizer is not None:
        check_tokenizer(tokenizer, step)
        return Tokenizer(tokenizer)
    return Bytes() if is_byte_model(step) else None


def no_language_model(name: object, step: StepSpec) -> str:
    """Why a step cannot continue a text, and what it takes."""
    names = ", ".join(f"{item.name} {list(item.shape)}" for item in step.inputs)
    return (
        f"{name} is no byte-level language model (one token below 256 in, 256 logits out) and has no tokenizer "
        f"(export --tokenizer); give its data ({names}) with --input."
    )


def plan_text(codec: Codec, prompt: str, count: int, sampling: Sampling, stops: Sequence[str] = ()) -> Wanted:
    """What is to be written after a prompt: up to `count` tokens, ending before one that ends a text.

    Of `stops` those count here that are a special token's name; `until_stop` looks for the others.
    """
    ends = {index for text in stops if (index := codec.end_of(text)) is not None}
    return Wanted(codec.prompt(prompt), count, sampling, codec.ends | ends, codec.size)


def until_stop(pieces: Iterable[str], stops: Sequence[str]) -> Iterator[str]:
    """Pieces of a text up to the first of `stops`, which is not given; what could begin one is held back until it is.

    Nothing more is asked of `pieces` then. Of two that begin at one place either does.
    """
    held = ""
    for piece in pieces:
        held += piece
        found = [place for text in stops if text and (place := held.find(text)) >= 0]
        if found:
            yield held[: min(found)]
            return
        most = max((size for text in stops for size in range(len(text)) if held.endswith(text[:size])), default=0)
        yield held[: len(held) - most]
        held = held[len(held) - most :]
    yield held


def printable(text: str) -> str:
    """A text without control characters other than tab and line end, which could change a terminal: U+FFFD instead."""
    return "".join(item if item.isprintable() or item in "\n\t" else "\N{REPLACEMENT CHARACTER}" for item in text)
