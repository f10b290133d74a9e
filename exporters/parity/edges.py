"""How far each element of a decision is from its edge, and what it is on the other side."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from astroedge.exporters.graph.find_decisions import COMPARISONS, QUANTISERS, REMAINDER, Decision
from astroedge.exporters.parity.firing_rates import Array, Tick

RIVALS = 4
"""How many elements of an ArgMax or of the places around one of TopK may be as large."""

Side = tuple[Array, Array]
"""For each element of a decision, its margin and its value on the other side of that edge; infinity for no edge."""


def sides(decision: Decision, values: Tick) -> Iterator[Side]:
    """The other sides of a decision, nearest first: one, or several where an edge has more than two."""
    result = values[decision.tensor]
    operands = [values[name] for name in decision.operands]
    if decision.operator in COMPARISONS:
        yield _gap(operands[0], operands[1], result), ~result
    elif decision.operator in ("ArgMax", "ArgMin"):
        yield from _rivals(decision, operands[0], result)
    elif decision.operator == "TopK":
        yield from _neighbours(decision, operands[0], result)
    elif decision.operator in QUANTISERS:
        yield _quantum(decision, operands, result)
    elif decision.operator == REMAINDER:
        yield _remainder(operands[0], operands[1], result)
    elif decision.operator == "Sign" or result.dtype == bool:
        margins = np.abs(operands[0].astype(np.float64))
        others = (~result,) if result.dtype == bool else (np.where(result == 0, 1, 0), np.where(result == -1, 1, -1))
        yield from ((margins, other.astype(result.dtype)) for other in others)
    else:
        yield _stairs(decision, operands[0], result)


def nearest(decision: Decision, values: Tick) -> Array:
    """The margin of each element: how far its nearest edge is."""
    margins: Array = np.minimum.reduce([margins for margins, _ in sides(decision, values)])
    return margins


def scale(decision: Decision, values: Tick) -> float:
    """What rounding is relative to: max(1, the largest finite operand)."""
    operands = [values[name] for name in decision.operands[: 1 if decision.operator in QUANTISERS else None]]
    return max(1.0, *(float(np.max(np.abs(item[np.isfinite(item)]), initial=0.0)) for item in operands))


def _gap(left: Array, right: Array, result: Array) -> Array:
    with np.errstate(invalid="ignore"):
        gap = np.abs(left.astype(np.float64) - right.astype(np.float64))
    return np.array(np.broadcast_to(gap, result.shape))


def _remainder(operand: Array, divisor: Array, result: Array) -> Side:
    """What is left of a division: next to nothing above a multiple of the divisor, next to all of it below."""
    x, step = operand.astype(np.float64), np.abs(divisor.astype(np.float64))
    with np.errstate(invalid="ignore", divide="ignore"):
        multiple = np.round(x / step)
        margins = np.where(multiple == 0, np.inf, np.abs(x - multiple * step))
        other = np.where(np.abs(result) < step / 2, result + np.sign(x) * step, result - np.sign(x) * step)
    usable = np.isfinite(margins)
    return np.where(usable, margins, np.inf), np.where(usable, other, result).astype(result.dtype)


def _quantum(decision: Decision, operands: list[Array], result: Array) -> Side:
    """Rounding to multiples of a scale: the whole number beside, where the dtype has it."""
    x, step, *zero = (item.astype(np.float64) for item in operands)
    if step.ndim == 1 and x.ndim:
        along = [-1 if axis == decision.axis % x.ndim else 1 for axis in range(x.ndim)]
        step, zero = (step.reshape(along), [item.reshape(along) for item in zero]) if step.size > 1 else (step[0], zero)
    with np.errstate(invalid="ignore", divide="ignore"):
        quanta = x / step
        margins = np.abs(quanta - np.floor(quanta) - 0.5) * step
        below = np.floor(quanta) + sum(zero, np.zeros(1))
        other = np.where(result > below, below, below + 1)
    limits = np.iinfo(result.dtype)
    usable = np.isfinite(margins) & (other >= limits.min) & (other <= limits.max)
    margins, other = np.where(usable, margins, np.inf), np.where(usable, other, 0)
    return margins.reshape(result.shape), other.reshape(result.shape).astype(result.dtype)


STAIRS: dict[str, Callable[[Array], tuple[Array, Array, Array]]] = {
    # Of x: its nearest edge, and the results below and above it.
    "Floor": lambda x: (np.round(x), np.round(x) - 1, np.round(x)),
    "Ceil": lambda x: (np.round(x), np.round(x), np.round(x) + 1),
    "Round": lambda x: (np.floor(x) + 0.5, np.floor(x), np.floor(x) + 1),
    "Cast": lambda x: (
        np.where(np.round(x) == 0, np.inf, np.round(x)),
        np.where(np.round(x) > 0, np.round(x) - 1, np.round(x)),
        np.where(np.round(x) > 0, np.round(x), np.round(x) + 1),
    ),
}


def _stairs(decision: Decision, operand: Array, result: Array) -> Side:
    """Rounding to whole numbers: a staircase, whose steps are those of its operator."""
    with np.errstate(invalid="ignore"):
        edge, below, above = STAIRS[decision.operator](operand.astype(np.float64))
        margins = np.abs(operand - edge)
        other = np.where(result == above, below, above)
    usable = np.isfinite(margins)
    return np.where(usable, margins, np.inf), np.where(usable, other, result).astype(result.dtype)


def _ranked(decision: Decision, operand: Array, count: int) -> tuple[Array, Array]:
    """The operand with the axis that is searched last, and the first `count` places in the order that is looked for."""
    along = np.moveaxis(operand, decision.axis, -1).astype(np.float64)
    order = np.argsort(-along if decision.descending else along, axis=-1, kind="stable")
    return along, order[..., :count]


def _rivals(decision: Decision, operand: Array, result: Array) -> Iterator[Side]:
    """Of an extreme, the places of those as large."""
    along, order = _ranked(decision, operand, RIVALS)
    top = np.take_along_axis(along, order[..., :1], -1)[..., 0]
    for rank in range(order.shape[-1]):
        place = order[..., rank]
        margins = np.abs(top - np.take_along_axis(along, place[..., None], -1)[..., 0])
        place, margins = place.reshape(result.shape), margins.reshape(result.shape)
        yield np.where(place == result, np.inf, margins), place.astype(result.dtype)


def _neighbours(decision: Decision, operand: Array, result: Array) -> Iterator[Side]:
    """Of each rank in a TopK, the places that belong to it and to the ranks around it, those left out included."""
    ranks = np.moveaxis(result, decision.axis, -1)
    count = ranks.shape[-1]
    along, order = _ranked(decision, operand, count + RIVALS - 1)
    own = np.take_along_axis(along, ranks, -1)
    for shift in sorted(range(1 - RIVALS, RIVALS), key=abs):
        wanted = np.arange(count) + shift
        inside = (wanted >= 0) & (wanted < order.shape[-1])
        place = order[..., np.clip(wanted, 0, order.shape[-1] - 1)]
        margins = np.where(inside & (place != ranks), np.abs(own - np.take_along_axis(along, place, -1)), np.inf)
        yield np.moveaxis(margins, -1, decision.axis), np.moveaxis(place, -1, decision.axis).astype(result.dtype)
