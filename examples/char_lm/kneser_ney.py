"""Interpolated modified Kneser–Ney n-grams over bytes, after Chen and Goodman (1999), to compare with.

    P(w | h) = (c(h w) − D(c(h w))) / c(h ·) + γ(h) P(w | h'),   h' = h without its first byte

`c` is the count in the training text for the longest context and the number of different bytes seen before `h w` for
the shorter ones. `D` is D₁, D₂ or D₃ for a count of 1, 2 or more, from the counts of counts of its order, and `γ(h)`
is what the discounts took away. Below the single byte lies the uniform distribution.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field

SYMBOLS = 256


@dataclass
class _Context:
    """What followed one context: counts by byte, their sum, and the mass left to the next shorter context."""

    counts: dict[int, int] = field(default_factory=dict)
    total: int = 0
    left_over: float = 0.0


class KneserNey:
    """An n-gram model of bytes, trained on one text."""

    def __init__(self, text: bytes, order: int) -> None:
        """Count `text` with contexts of up to `order − 1` bytes."""
        self.order = order
        self._tables: list[dict[bytes, _Context]] = []
        self._discounts: list[tuple[float, float, float]] = []
        for length in range(1, order + 1):
            counts = Counter(text[i : i + length] for i in range(len(text) - length + 1))
            if length < order:
                counts = Counter(gram[1:] for gram in {text[i : i + length + 1] for i in range(len(text) - length)})
            discounts = _discounts(counts)
            self._tables.append(_tables(counts, discounts))
            self._discounts.append(discounts)

    def probability(self, byte: int, context: bytes) -> float:
        """P(`byte` | the last `order − 1` bytes of `context`)."""
        probability = 1.0 / SYMBOLS
        for length, (table, discounts) in enumerate(zip(self._tables, self._discounts, strict=True)):
            if length > len(context):
                break
            seen = table.get(context[len(context) - length :])
            if seen is None:
                break
            count = seen.counts.get(byte, 0)
            own = (count - discounts[min(count, 3) - 1]) / seen.total if count else 0.0
            probability = own + seen.left_over * probability
        return probability

    def bits_per_byte(self, text: bytes) -> float:
        """Mean −log₂ P over `text`, each byte given those before it; the first follows a line end."""
        padded, longest = b"\n" + text, self.order - 1
        bits = 0.0
        for i in range(1, len(padded)):
            bits -= math.log2(self.probability(padded[i], padded[max(0, i - longest) : i]))
        return bits / len(text)


def _discounts(counts: Counter[bytes]) -> tuple[float, float, float]:
    """D₁, D₂, D₃ from the numbers of grams seen once to four times; 0.5 each where a text is too small to tell."""
    seen = Counter(counts.values())
    n1, n2, n3, n4 = (seen.get(times, 0) for times in (1, 2, 3, 4))
    if not (n1 and n2 and n3 and n4):
        return 0.5, 0.5, 0.5
    y = n1 / (n1 + 2 * n2)
    d1, d2, d3 = 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3
    return tuple(min(max(d, 0.0), limit) for d, limit in ((d1, 1.0), (d2, 2.0), (d3, 3.0)))  # type: ignore[return-value]


def _tables(counts: Counter[bytes], discounts: tuple[float, float, float]) -> dict[bytes, _Context]:
    """Grams grouped by their context, with the mass each context leaves to shorter ones."""
    table: dict[bytes, _Context] = defaultdict(_Context)
    for gram, count in counts.items():
        entry = table[gram[:-1]]
        entry.counts[gram[-1]] = count
        entry.total += count
        entry.left_over += discounts[min(count, 3) - 1]
    for entry in table.values():
        entry.left_over /= entry.total
    return dict(table)
