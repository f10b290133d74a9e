"""The choice of the next token, written out so that the same scores and seed give the same token wherever it runs.

NumPy's own exponential is another one on each processor, by a last bit that can decide; the one here is made of single
operations of IEEE 754, each rounded once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroedge.errors import InputError

Floats = NDArray[np.float64]
_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # the first has 32 bits: k·high is exact
_TERMS = [1 / math.factorial(degree) for degree in range(13, -1, -1)]
_SMALLEST = -700.0  # below it a chance is none


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    First each token that was read or written has its score divided by `repetition_penalty`, or multiplied where it is
    negative (Keskar and others, CTRL, 2019). At `temperature` 0 the likeliest is chosen; otherwise a token `i` of those
    that are left has a chance in proportion to exp(score_i / temperature). Left are the `top_k` likeliest; of these the
    likeliest whose chances first come to `top_p` (Holtzman and others, nucleus sampling, 2020); of these the ones whose
    chance is at least `min_p` of the likeliest's (Nguyen and others, 2024). None leaves all. `seed` starts the random
    numbers.
    """

    temperature: float = 0.8
    top_k: int | None = None
    seed: int = 0
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        """Refuse settings that mean nothing; InputError."""
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise InputError(f"The temperature is {self.temperature}; it must be 0 (the likeliest) or more.")
        if self.top_k is not None and self.top_k < 1:
            raise InputError(f"top_k is {self.top_k}; at least one must be left to choose from.")
        if self.seed < 0:
            raise InputError(f"The seed is {self.seed}; it must be 0 or more.")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise InputError(f"top_p is {self.top_p}; it must be above 0 and at most 1.")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise InputError(f"min_p is {self.min_p}; it must be from 0 to 1.")
        if not (math.isfinite(self.repetition_penalty) and self.repetition_penalty > 0):
            raise InputError(f"The repetition penalty is {self.repetition_penalty}; it must be above 0, 1 for none.")


def draw(scores: ArrayLike, sampling: Sampling, rng: np.random.Generator, seen: NDArray[np.bool_] | None = None) -> int:
    """Choose an index: of equal scores the lowest comes first; one uniform number u in [0, 1) decides.

    `seen` is true for the tokens that the repetition penalty is for. In float64: p_i = exp((s_i − max s) / temperature)
    of those left, in the order of the indices, then the first index whose running sum exceeds u · Σp.

    Raises InputError where the highest score is not finite, or one is a NaN.
    """
    own: Floats = np.array(scores, dtype=np.float64).ravel()
    if seen is not None and sampling.repetition_penalty != 1:
        penalty = sampling.repetition_penalty
        own[seen] = np.where(own[seen] < 0, own[seen] * penalty, own[seen] / penalty)
    highest = own.max()
    if not math.isfinite(highest):  # a NaN is what max finds
        raise InputError("The scores of the next token hold a NaN or an infinity; does the model overflow?")
    if sampling.temperature == 0:
        return int(own.argmax())
    with np.errstate(over="ignore"):
        weights = exponential((own - highest) / sampling.temperature)
    kept = _left(own, weights, sampling)
    running = np.cumsum(weights if kept is None else weights[kept])
    chosen = min(int(np.searchsorted(running, rng.random() * running[-1], side="right")), len(running) - 1)
    return chosen if kept is None else int(kept[chosen])


def _left(scores: Floats, weights: Floats, sampling: Sampling) -> NDArray[np.intp] | None:
    """The indices that are left to choose from, ascending; None for all. `weights` are chances but for a factor."""
    kept: NDArray[np.intp] | None = None
    if sampling.top_k is not None:
        kept = np.sort(_likeliest(scores, sampling.top_k))
    if sampling.top_p is not None:
        among = np.arange(len(scores)) if kept is None else kept
        kept = np.sort(among[_nucleus(scores[among], weights[among], sampling.top_p)])
    if sampling.min_p is not None:  # the likeliest's is 1
        enough = weights >= sampling.min_p
        kept = np.flatnonzero(enough) if kept is None else kept[enough[kept]]
    return kept


def _likeliest(scores: Floats, count: int) -> NDArray[np.intp]:
    """The indices of the highest scores, so many, the highest first and of equals the lowest index."""
    place = max(0, len(scores) - count)
    candidates = np.flatnonzero(scores >= np.partition(scores, place)[place])
    return candidates[np.argsort(-scores[candidates], kind="stable")][:count]


def _nucleus(scores: Floats, weights: Floats, share: float) -> NDArray[np.intp]:
    """The indices of the likeliest whose weights first come to a share of all, the likeliest first."""
    total = np.cumsum(weights)[-1]  # unlike np.sum it adds in one order on every machine
    # Those below this come to less than 1 - share together, so that the others come to the share without them.
    candidates = np.flatnonzero(weights >= (1 - share) * total / len(weights))
    order = candidates[np.argsort(-scores[candidates], kind="stable")]
    running = np.cumsum(weights[order])
    return order[: 1 + np.count_nonzero(running[:-1] < share * total)]


def exponential(x: Floats) -> Floats:
    """exp of numbers up to 0 within a unit in the last place or two, the same bits on every machine; 0 below −700."""
    held = np.maximum(x, _SMALLEST)
    k = np.rint(held * _LOG2_E)
    rest = held - k * _LN2_HIGH
    rest -= k * _LN2_LOW
    result = np.full_like(rest, _TERMS[0])
    for term in _TERMS[1:]:
        result *= rest
        result += term
    result[x < _SMALLEST] = 0
    return np.ldexp(result, k.astype(np.int32))
