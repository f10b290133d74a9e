"""Text from a byte-level language model: one tick a byte, the next byte drawn from the logits of the last.

The sampler is written out here, so that the same logits and seed give the same text wherever it runs.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroedge.errors import InputError
from astroedge.session import Session
from astroedge.step.spec import StepSpec

BYTES = 256
START = b"\n"  # what comes before a text without a prompt: the end of a line


@dataclass(frozen=True)
class Sampling:
    """How the next byte is chosen.

    At `temperature` 0 it is the likeliest; otherwise a byte `i` of the `top_k` likeliest (all when None) has a chance
    in proportion to exp(logit_i / temperature). `seed` starts the random numbers.
    """

    temperature: float = 0.8
    top_k: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that mean nothing; InputError."""
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise InputError(f"The temperature is {self.temperature}; it must be 0 (the likeliest byte) or more.")
        if self.top_k is not None and self.top_k < 1:
            raise InputError(f"top_k is {self.top_k}; at least one byte must be left to choose from.")
        if self.seed < 0:
            raise InputError(f"The seed is {self.seed}; it must be 0 or more.")


def is_byte_model(step: StepSpec) -> bool:
    """Whether a step is a byte-level language model: one token of 256 goes in, and 256 logits come out first."""
    if len(step.inputs) != 1 or not step.outputs:
        return False
    token, logits = step.inputs[0], step.outputs[0]
    reads_bytes = token.size == 1 and token.index_range == (0, BYTES)
    return reads_bytes and logits.size == BYTES and logits.dtype.startswith("float")


def generate(session: Session, prompt: bytes, count: int, sampling: Sampling) -> Iterator[int]:
    """Feed `prompt`, then give `count` bytes one by one, each fed back before the next is drawn.

    The session goes on from its present state. Raises InputError at once when it is no byte-level language model.
    """
    if not is_byte_model(session.spec):
        raise InputError(
            "This bundle is no byte-level language model (one token below 256 in, 256 logits out), so it cannot "
            "continue a prompt; give it arrays with --input."
        )
    return _continue(session, prompt or START, count, sampling)


def _continue(session: Session, prompt: bytes, count: int, sampling: Sampling) -> Iterator[int]:
    token, logits = session.spec.inputs[0], session.spec.outputs[0].name
    rng = np.random.Generator(np.random.PCG64(sampling.seed))
    read = np.frombuffer(prompt, dtype=np.uint8).astype(token.dtype).reshape(-1, *token.shape)
    scores = session.run(**{token.name: read})[logits][-1]
    for remaining in reversed(range(count)):
        byte = draw(scores, sampling, rng)
        yield byte
        if remaining:
            scores = session.step(**{token.name: np.full(token.shape, byte, token.dtype)})[logits]


def draw(logits: ArrayLike, sampling: Sampling, rng: np.random.Generator) -> int:
    """Choose an index: of equal logits the lowest comes first; one uniform number in [0, 1) decides.

    In float64: p_i = exp((l_i − max l) / temperature) in the order of the indices, then the first index whose running
    sum exceeds u · Σp.
    """
    scores: NDArray[np.float64] = np.asarray(logits, dtype=np.float64).ravel()
    if sampling.temperature == 0:
        return int(scores.argmax())
    likeliest = np.argsort(-scores, kind="stable")[: sampling.top_k]
    kept = np.sort(likeliest)
    weights = np.exp((scores[kept] - scores[likeliest[0]]) / sampling.temperature)
    running = np.cumsum(weights)
    chosen = np.searchsorted(running, rng.random() * running[-1], side="right")
    return int(kept[min(int(chosen), len(kept) - 1)])


def as_text(produced: Iterable[int]) -> Iterator[str]:
    """Decode UTF-8 byte by byte: each character once it is complete.

    What is no UTF-8, and control characters other than tab and line end, which could change a terminal, become U+FFFD.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for byte in produced:
        yield _printable(decoder.decode(bytes((byte,))))
    yield _printable(decoder.decode(b"", final=True))


def _printable(text: str) -> str:
    return "".join(item if item.isprintable() or item in "\n\t" else "\N{REPLACEMENT CHARACTER}" for item in text)
