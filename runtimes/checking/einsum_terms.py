"""An Einsum's equation, read."""

from __future__ import annotations


def einsum_terms(equation: str) -> tuple[list[str], str]:
    """The letters of each operand's axes and of the result's, for an equation without an ellipsis.

    An equation that names no result has every letter that stands once, in alphabetical order.
    """
    left, arrow, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    letters = "".join(terms)
    if not arrow:
        result = "".join(sorted(letter for letter in set(letters) if letters.count(letter) == 1))
    return terms, result
