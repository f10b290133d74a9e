"""The English text of Python's documentation topics, split into training and held-out by a hash of each name.

`pydoc_data.topics` comes with Python, so nothing is downloaded; its text differs a little between Python versions,
the names hardly, and the split follows the names. Topics repeat each other's paragraphs word for word, so a paragraph
that also occurs in held-out text is removed from the training text: otherwise nine of ten long held-out lines would
have been seen in training.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pydoc_data.topics import topics

HELD_OUT_BELOW = 0.125
TUNING_ABOVE = 0.85


@dataclass(frozen=True)
class Corpus:
    """UTF-8 documents, one a topic in the order of their names; each ends with an empty line."""

    training: list[bytes]
    held_out: list[bytes]


def load_corpus(tuning: bool = False) -> Corpus:
    """The topics of the running Python, split.

    With `tuning`, nothing of the held-out topics is used: a second slice of the remaining topics takes their place,
    for choosing sizes and rates without looking at held-out text.
    """
    hidden = {name for name in topics if name_fraction(name) < HELD_OUT_BELOW}
    judged = {name for name in topics if name_fraction(name) >= TUNING_ABOVE} if tuning else hidden
    seen = {_words(paragraph) for name in hidden | judged for paragraph in paragraphs(topics[name])}
    training = [
        [paragraph for paragraph in paragraphs(topics[name]) if _words(paragraph) not in seen]
        for name in sorted(topics.keys() - hidden - judged)
    ]
    return Corpus(
        training=[_document(kept) for kept in training if kept],
        held_out=[_document(paragraphs(topics[name])) for name in sorted(judged)],
    )


def name_fraction(name: str) -> float:
    """Where a topic's name falls in [0, 1): the first 8 bytes of its SHA-256 as a fraction."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64


def paragraphs(text: str) -> list[str]:
    """What stands between empty lines, without the line ends around it."""
    return [part for part in (part.strip("\n") for part in text.split("\n\n")) if part]


def _words(paragraph: str) -> str:
    """A paragraph without its indentation and line breaks, which differ between otherwise equal copies."""
    return " ".join(paragraph.split())


def _document(parts: list[str]) -> bytes:
    """Paragraphs as one document."""
    return ("\n\n".join(parts) + "\n\n").encode()
