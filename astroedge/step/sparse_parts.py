"""Tensors of which only some parts are sparse: membranes and spikes that a model keeps in one state.

`torch.stack([v, z])` becomes a Concat; what Slice, Split and Gather take out of it is again what was put in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from astroedge.step.operators import operators
from astroedge.step.sparse_layers import Layer, beside
from astroedge.step.sparsity import Resting


@dataclass(frozen=True)
class Parts:
    """A tensor cut along an axis into pieces of these extents, with what is known of each; None for a dense one."""

    axis: int
    extents: tuple[int, ...]
    pieces: tuple[Resting | None, ...]

    @property
    def dense(self) -> int:
        """How much of the axis nothing is known of."""
        return sum(extent for extent, piece in zip(self.extents, self.pieces, strict=True) if piece is None)

    def between(self, start: int, end: int) -> Parts | None:
        """The part from `start` to `end` of the axis."""
        kept, place = [], 0
        for extent, piece in zip(self.extents, self.pieces, strict=True):
            overlap = min(end, place + extent) - max(start, place)
            place += extent
            if overlap > 0:
                kept.append((overlap, piece))
        extents, pieces = zip(*kept, strict=True) if kept else ((), ())
        return Parts(self.axis, extents, pieces) if kept else None

    def whole(self) -> Resting | None:
        """What is known of all pieces together; None if one of them is dense."""
        found = [piece for piece in self.pieces if piece is not None]
        return beside(found, self.extents) if len(found) == len(self.pieces) else None


Rest = Callable[[Mapping[str, Resting]], Resting | None]


def through_parts(layer: Layer, parts: Mapping[str, Parts], rest: Rest | None) -> list[Parts | None]:
    """What a call makes of operands in parts, for each of its results; nothing where it leaves no parts.

    `rest` says what an element-wise operator makes of operands that rest; None for another operator.
    """
    node = layer.node
    if node.op_type == "Concat":
        return [_concat(layer, parts)]
    if rest is not None:
        return [_elementwise(layer, parts, rest)]
    first = parts.get(node.input[0]) if node.input else None
    rule = _RULES.get(node.op_type)
    return list(rule(layer, first)) if first is not None and rule is not None else []


def _concat(layer: Layer, parts: Mapping[str, Parts]) -> Parts | None:
    rank = len(layer.shape(layer.node.output[0]))
    if rank == 0:  # ONNX infers nothing of the result
        return None
    axis = int(layer.attributes["axis"]) % rank
    pieces: list[tuple[int, Resting | None]] = []
    for name in layer.node.input:
        shape, inner = layer.shape(name), parts.get(name)
        if len(shape) != rank:
            return None
        if inner is not None and inner.axis == axis:
            pieces += zip(inner.extents, inner.pieces, strict=True)
        else:
            pieces.append((shape[axis], layer.rest(name)))
    found = any(piece is not None and piece.source for _, piece in pieces)
    return Parts(axis, *map(tuple, zip(*pieces, strict=True))) if found else None


def _elementwise(layer: Layer, parts: Mapping[str, Parts], rest: Rest) -> Parts | None:
    """Piece by piece, where the operands are cut alike and no constant differs from piece to piece."""
    cut = {name: parts[name] for name in layer.node.input if name in parts}
    shape = layer.shape(layer.node.output[0])
    alike = len({(item.axis, item.extents) for item in cut.values()}) == 1
    constants = [layer.stored[name] for name in layer.node.input if name in layer.stored]
    if not alike or any(item.size != 1 for item in constants) or any(layer.shape(name) != shape for name in cut):
        return None
    first = next(iter(cut.values()))
    pieces = []
    for number in range(len(first.pieces)):
        here = {name: piece for name, item in cut.items() if (piece := item.pieces[number]) is not None}
        pieces.append(rest({**layer.known, **here}))
    return replace(first, pieces=tuple(pieces)) if any(pieces) else None


def _identity(_: Layer, first: Parts) -> Iterator[Parts | None]:
    yield first


def _slice(layer: Layer, first: Parts) -> Iterator[Parts | None]:
    operands = [layer.stored.get(name) for name in layer.node.input[1:]]
    if any(item is None for item in operands):
        return
    starts, ends, *others = (np.ravel(item).tolist() for item in operands if item is not None)
    axes = others[0] if others else list(range(len(starts)))
    steps = others[1] if len(others) > 1 else [1] * len(starts)
    rank, size = len(layer.shape(layer.node.input[0])), sum(first.extents)
    found: Parts | None = first
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if axis % max(rank, 1) == first.axis:
            picked = range(size)[slice(start, end, step)]
            found = first.between(min(picked), max(picked) + 1) if step == 1 and len(picked) else None
    yield found


def _split(layer: Layer, first: Parts) -> Iterator[Parts | None]:
    rank = len(layer.shape(layer.node.input[0]))
    if int(layer.attributes.get("axis", 0)) % max(rank, 1) != first.axis:
        yield from [first] * len(layer.node.output)
        return
    start = 0
    for name in layer.node.output:
        extent = layer.shape(name)[first.axis]
        yield first.between(start, start + extent)
        start += extent


def _gather(layer: Layer, first: Parts) -> Iterator[Parts | None]:
    """One place along an axis, which is gone then, or several."""
    indices = layer.stored.get(layer.node.input[1])
    rank = len(layer.shape(layer.node.input[0]))
    axis = int(layer.attributes.get("axis", 0)) % max(rank, 1)
    if indices is None or indices.ndim > 1:
        return
    lost = int(indices.ndim == 0)
    if axis != first.axis:
        yield replace(first, axis=first.axis - (lost if axis < first.axis else 0))
        return
    size = sum(first.extents)
    picked = [first.between(place % size, place % size + 1) for place in np.ravel(indices).tolist()]
    pieces = tuple(item.pieces[0] for item in picked if item is not None)
    yield Parts(first.axis, (1,) * len(pieces), pieces)


def _reshape(layer: Layer, first: Parts) -> Iterator[Parts | None]:
    """The same elements in another shape, where an axis is left along which the pieces lie one after the other."""
    before, after = layer.shape(layer.node.input[0]), layer.shape(layer.node.output[0])
    inner = [extent * prod(before[first.axis + 1 :]) for extent in first.extents]
    for axis in range(len(after)):
        rows = prod(after[axis + 1 :])
        if prod(after[:axis]) == prod(before[: first.axis]) and not any(size % rows for size in inner):
            yield Parts(axis, tuple(size // rows for size in inner), first.pieces)
            return


def _transpose(layer: Layer, first: Parts) -> Iterator[Parts | None]:
    rank = len(layer.shape(layer.node.input[0]))
    order = list(layer.attributes.get("perm", range(rank)[::-1]))
    yield replace(first, axis=order.index(first.axis))


_RULES: dict[str, Callable[[Layer, Parts], Iterator[Parts | None]]] = {
    "Identity": _identity,
    "Slice": _slice,
    "Split": _split,
    "Gather": _gather,
    **dict.fromkeys(operators(lambda row: row.kind == "reshape"), _reshape),
    "Transpose": _transpose,
}
