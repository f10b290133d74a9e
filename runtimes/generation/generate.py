"""Tokens one by one: the step reads a prompt, and each token that is drawn is read before the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from astroedge.runtimes.generation.sampling import Sampling, draw
from astroedge.session import Session


@dataclass(frozen=True)
class Wanted:
    """What is to be written: after `prompt`, at least one token, up to `count` more, chosen by `sampling`.

    It ends before a token of `ends`. Tokens from `vocabulary` on have a score and stand for nothing, so that they are
    never chosen; None where all do.
    """

    prompt: Sequence[int]
    count: int
    sampling: Sampling
    ends: frozenset[int] = frozenset()
    vocabulary: int | None = None


def continue_tokens(session: Session, wanted: Wanted) -> Iterator[int]:
    """Feed the prompt, then give tokens one by one, each fed back before the next is drawn.

    The session, whose only input is one token and whose first output is a row of scores, goes on from its present
    state. Raises InputError for a token that the step does not take and for scores that nothing can be drawn from.
    """
    token, logits = session.spec.inputs[0], session.spec.outputs[0]
    rng = np.random.Generator(np.random.PCG64(wanted.sampling.seed))
    seen = np.zeros(logits.size, np.bool_)
    seen[[item for item in wanted.prompt if item < logits.size]] = True
    read = np.array(wanted.prompt, np.int64).astype(token.dtype).reshape(-1, *token.shape)
    scores = session.run(**{token.name: read})[logits.name][-1]
    for remaining in reversed(range(wanted.count)):
        chosen = draw(np.ravel(scores)[: wanted.vocabulary], wanted.sampling, rng, seen[: wanted.vocabulary])
        if chosen in wanted.ends:
            return
        yield chosen
        seen[chosen] = True
        if remaining:
            scores = session.step(**{token.name: np.full(token.shape, chosen, token.dtype)})[logits.name]
