"""Operators on whole tensors: where moved, pooled, padded, resized, added or joined elements are zero.

Where a result's firing rate depends on which elements fire together, it is reckoned as if they fired independently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astroedge.step.graph_index import attributes
from astroedge.step.operator_facts import Zeros
from astroedge.step.operators import operator
from astroedge.step.sparsity import Resting, joint, sources

if TYPE_CHECKING:
    import onnx

MOSTLY = 0.5  # sums of more inputs than leave half of them zero count as dense
NEIGHBOURS = {"linear": 2, "bilinear": 2, "cubic": 4, "bicubic": 4}


@dataclass(frozen=True)
class Layer:
    """One call with what is known around it: shapes by name, constants by name, and which operands rest."""

    node: onnx.NodeProto
    shapes: Mapping[str, tuple[int, ...]]
    stored: Mapping[str, NDArray[Any]]
    known: Mapping[str, Resting]

    @property
    def attributes(self) -> dict[str, Any]:
        """The node's attributes by name."""
        return attributes(self.node)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an operand or result; empty where it is not known."""
        return self.shapes.get(name, ())

    def operands(self, *places: int) -> list[Resting] | None:
        """What is known of the operands at `places`, by default of all; None if one of them does not rest."""
        names = [name for place, name in enumerate(self.node.input) if not places or place in places]
        found = [item for item in map(self.rest, names) if item is not None]
        return found if len(found) == len(names) and found else None

    def rest(self, name: str) -> Resting | None:
        """What is known of a value; a stored tensor of one number rests there and never fires."""
        if name not in self.stored:
            return self.known.get(name)
        array = self.stored[name]
        number = float(array.flat[0]) if array.size and array.dtype != object else float("nan")
        return Resting("", 0.0, number) if bool(np.all(array == number)) else None


def through_layer(layer: Layer) -> Resting | None:
    """What an operator that is not element-wise makes of operands that rest; None where its result does not."""
    rule = _RULES.get(operator(layer.node.op_type).sparsity)
    found = None if rule is None else rule(layer)
    return found if found is None or found.rest == 0 or _keeps_rest(layer) else None


def keeps_values(layer: Layer) -> bool:
    """Whether the result has only values that the operands have, or zero."""
    row = operator(layer.node.op_type)
    if row.sparsity == "resampled":
        return _mode(layer) == "nearest" and not _extrapolates(layer)
    if row.sparsity == "written":
        return bool(layer.attributes.get("reduction", b"none") == b"none")
    if row.sparsity == "padded":
        fill = _fill(layer)
        return fill is not None and not np.any(fill)
    return row.sparsity in ("moved", "beside") or row.keeps_ones


def rearranges(layer: Layer) -> bool:
    """Whether the result has the elements of the first operand, each once."""
    node, row = layer.node, operator(layer.node.op_type)
    before, after = (layer.shape(name) for name in (node.input[0], node.output[0]))
    if row.kind == "cast" or prod(before) != prod(after):
        return row.kind == "cast"
    if node.op_type == "Gather":
        axis = int(layer.attributes.get("axis", 0))
        places = layer.stored.get(node.input[1])
        return before[axis] == 1 or (places is not None and len(np.unique(places % before[axis])) == before[axis])
    return row.sparsity == "moved" and not node.op_type.startswith("Gather")


def _keeps_rest(layer: Layer) -> bool:
    """Whether elements at rest elsewhere than at zero stay what they are."""
    return keeps_values(layer) and operator(layer.node.op_type).sparsity != "scaled"


def _first(layer: Layer) -> Resting | None:
    return layer.known.get(layer.node.input[0]) if layer.node.input else None


def _beside(layer: Layer) -> Resting | None:
    """Pieces put beside each other, all at rest at the same."""
    found = layer.operands()
    return None if found is None else beside(found, [prod(layer.shape(name)) for name in layer.node.input])


def beside(parts: Sequence[Resting], sizes: Sequence[int]) -> Resting | None:
    """Tensors of so many elements as one; None if they rest at different numbers or nothing is known of their size."""
    if len({part.rest for part in parts}) != 1 or not sum(sizes):
        return None
    active = sum(part.rate * size for part, size in zip(parts, sizes, strict=True))
    return Resting(sources(parts), active / sum(sizes), parts[0].rest)


def _written(layer: Layer) -> Resting | None:
    """A tensor in which some elements are replaced: at most as many fire as in both."""
    found = layer.operands(0, 2)
    if found is None or len({part.rest for part in found}) != 1:
        return None
    size, updates = prod(layer.shape(layer.node.input[0])), prod(layer.shape(layer.node.input[2]))
    share = min(1.0, updates / size) if size else 1.0
    data, update = found
    return replace(joint([data, replace(update, rate=update.rate * share)]), rest=data.rest)


def _pooled(layer: Layer) -> Resting | None:
    """Windows of an image; without a window the whole of it."""
    found, shape = _first(layer), layer.shape(layer.node.input[0])
    kernel = layer.attributes.get("kernel_shape", shape[2:])
    return None if found is None else joint([found], found.rest, prod(kernel))


def _reduced(layer: Layer) -> Resting | None:
    found = _first(layer)
    before, after = (prod(layer.shape(name)) for name in (layer.node.input[0], layer.node.output[0]))
    return None if found is None else joint([found], found.rest, max(1, before // max(1, after)))


def _padded(layer: Layer) -> Resting | None:
    """Around the tensor what it rests at, or elements of its own."""
    found, fill = _first(layer), _fill(layer)
    if found is None or fill is None or not np.all(fill == found.rest):
        return None
    before, after = (prod(layer.shape(name)) for name in (layer.node.input[0], layer.node.output[0]))
    constant = layer.attributes.get("mode", b"constant") == b"constant"
    return replace(found, rate=found.rate * min(1.0, before / after)) if after and constant else found


def _fill(layer: Layer) -> NDArray[Any] | None:
    """What a Pad puts around a tensor, nothing if that is elements of its own; None if it is not known."""
    inputs = layer.node.input
    if layer.attributes.get("mode", b"constant") != b"constant":
        return np.zeros(0)
    return layer.stored.get(inputs[2]) if len(inputs) > 2 and inputs[2] else np.zeros(1)


def _resampled(layer: Layer) -> Resting | None:
    """Images in another size: each element one of them, or a mean of neighbours along each axis that changes."""
    found = _first(layer)
    if found is None or _extrapolates(layer):
        return None
    before, after = (layer.shape(name) for name in (layer.node.input[0], layer.node.output[0]))
    changed = sum(one != other for one, other in zip(before, after, strict=False)) or 2
    return joint([found], found.rest, NEIGHBOURS.get(_mode(layer), 1) ** changed)


def _mode(layer: Layer) -> str:
    """How elements between others are made."""
    default = b"nearest" if layer.node.op_type == "Resize" else b"linear"
    return str(layer.attributes.get("mode", default).decode())


def _extrapolates(layer: Layer) -> bool:
    """Whether a number of its own stands for what lies outside an image."""
    return bool(layer.attributes.get("coordinate_transformation_mode") == b"tf_crop_and_resize")


def _summed(layer: Layer) -> Resting | None:
    """A product with few weights, such as a sum pooling: zero where all that it adds is."""
    node, options = layer.node, layer.attributes
    data, weights = (layer.known.get(node.input[0]), layer.stored.get(node.input[1]))
    bias = layer.stored.get(node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros(1)
    if data is None or weights is None or bias is None or np.any(bias) or weights.ndim < 2:
        return None
    used = np.isfinite(weights) & (weights != 0)
    if node.op_type == "Conv":
        counts = used.reshape(used.shape[0], -1).sum(1)
    elif node.op_type == "ConvTranspose":
        counts = used.sum() / used.shape[1] / prod(options.get("strides", [1])) * np.ones(1)
    else:
        counts = used.sum(-1 if options.get("transB") else -2)
    rate = float(np.mean(1 - (1 - data.rate) ** np.maximum(counts, 1)))
    return Resting(data.source, rate) if data.rest == 0 and rate < MOSTLY else None


_RULES: dict[Zeros, Callable[[Layer], Resting | None]] = {
    "moved": _first,
    "scaled": _first,
    "beside": _beside,
    "written": _written,
    "pooled": _pooled,
    "reduced": _reduced,
    "padded": _padded,
    "resampled": _resampled,
    "summed": _summed,
}
