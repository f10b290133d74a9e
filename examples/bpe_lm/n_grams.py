"""Interpolated modified Kneser–Ney n-grams, after Chen and Goodman (1999), over bytes or over tokens, with NumPy.

The equations are those of `examples/char_lm/kneser_ney.py`, which a test holds them to. There a gram is a key of a
dictionary; here a text of ten million bytes is counted, so a gram is one number of 64 bits, and all grams of a length
are counted by sorting: of bytes up to eight, of 4,096 tokens up to five.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Order:
    """Grams of one length: codes in ascending order, what is left of their counts, and their contexts' sums.

    `own` is (count − discount) / the sum of the counts after the context; `contexts` are those seen, `left_over` the
    mass that each leaves to the next shorter one.
    """

    grams: Codes
    own: Floats
    contexts: Codes
    left_over: Floats


class NGrams:
    """An n-gram model of symbols below `symbols`, trained on one sequence."""

    def __init__(self, sequence: NDArray[np.integer], order: int, symbols: int) -> None:
        """Count `sequence` with contexts of up to `order − 1` symbols.

        Raises ValueError where a gram does not fit 64 bits.
        """
        self.symbols, self.bits = symbols, int(symbols - 1).bit_length()
        if order * self.bits > 64:
            raise ValueError(f"{order} symbols of {self.bits} bits are more than 64 bits")
        self.orders = []
        for length in range(1, order + 1):
            codes = self._codes(sequence, length)
            if length < order:  # how many different symbols stood before a gram
                longer = np.unique(self._codes(sequence, length + 1))
                codes = longer & _mask(length * self.bits)
            self.orders.append(_order(codes, self.bits))

    def bits_of(self, sequence: NDArray[np.integer], before: int) -> float:
        """The sum of −log₂ P over `sequence`, each symbol given those before it; the first follows `before`."""
        padded = np.concatenate([[before], sequence])
        count = len(sequence)
        probability = np.full(count, 1.0 / self.symbols)
        reached = np.ones(count, bool)  # a context that was never seen ends the walk to longer ones
        for length, order in enumerate(self.orders, start=1):
            first = max(length - 2, 0)  # the place from which on so many symbols stand before
            codes = self._codes(padded[1:] if length == 1 else padded, length)
            place, known = _find(order.contexts, codes >> np.uint64(self.bits))
            reached[:first] = False
            reached[first:] &= known
            gram, seen = _find(order.grams, codes)
            longer = np.where(seen, order.own[gram], 0.0) + order.left_over[place] * probability[first:]
            probability[first:] = np.where(reached[first:], longer, probability[first:])
        return float(-np.log2(probability).sum())

    def _codes(self, sequence: NDArray[np.integer], length: int) -> Codes:
        """All grams of a length, in the order of the sequence, the first symbol in the highest bits."""
        count = len(sequence) - length + 1
        codes = np.zeros(max(count, 0), np.uint64)
        for place in range(length):
            codes = (codes << np.uint64(self.bits)) | sequence[place : place + count].astype(np.uint64)
        return codes


def _order(codes: Codes, bits: int) -> Order:
    """Counts of grams with their discounts taken off."""
    grams, counts = np.unique(codes, return_counts=True)
    discount = _discounts(counts)[np.minimum(counts, 3) - 1]
    contexts, first = np.unique(grams >> np.uint64(bits), return_index=True)
    totals = np.add.reduceat(counts, first)
    left_over = np.add.reduceat(discount, first) / totals
    sizes = np.diff(np.append(first, len(grams)))
    return Order(grams, (counts - discount) / np.repeat(totals, sizes), contexts, left_over)


def _discounts(counts: NDArray[np.int64]) -> Floats:
    """D₁, D₂, D₃ from the numbers of grams seen once to four times; 0.5 each where a text is too small to tell."""
    n1, n2, n3, n4 = (int((counts == times).sum()) for times in (1, 2, 3, 4))
    if not (n1 and n2 and n3 and n4):
        return np.full(3, 0.5)
    y = n1 / (n1 + 2 * n2)
    found = np.array([1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
    limited: Floats = np.clip(found, 0.0, [1.0, 2.0, 3.0])
    return limited


def _find(known: Codes, wanted: Codes) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where each wanted code is among the known, which ascend, and whether it is there at all."""
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return place, known[place] == wanted


def _mask(bits: int) -> np.uint64:
    return np.uint64((1 << bits) - 1)
