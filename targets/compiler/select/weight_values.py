"""The weights of a step program in the form their kernels read, each made once however many products read it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from astroedge.targets.compiler.program.step_program import Value
from astroedge.targets.kernels.products.dense_gemv import pack_dense
from astroedge.targets.kernels.products.dot_gemv import ByteDots, pack_dots
from astroedge.targets.kernels.products.event_gemv import pack_event
from astroedge.targets.kernels.products.fixed_gemv import pack_fixed
from astroedge.targets.kernels.products.integer_gemv import pack_pairs
from astroedge.targets.kernels.products.pruned_lists import PrunedSize, pack_pruned
from astroedge.targets.kernels.products.pruned_steps import pack_lanes
from astroedge.targets.precision.quantise_weights import StoredWeights
from astroedge.targets.precision.rules import WEIGHT_SUFFIX, layer_name
from astroedge.targets.precision.short_scales import short_scales, sums_are_exact
from astroedge.targets.precision.storage import FLOAT32, Storage
from astroedge.targets.precision.weight_format import StoredMatrix, store, store_integers

SCALES_SUFFIX, UNITS_SUFFIX = ".scales", ".units"
GAPS_SUFFIX, STARTS_SUFFIX = ".gaps", ".starts"
LANE_SUFFIXES = (".places", ".windows", STARTS_SUFFIX, ".order")
Packed = tuple[NDArray[np.generic], NDArray[np.float32] | None]


class WeightValues:
    """Finds the stored form of weights and packs it; `nbytes` counts what is packed, by the weights' keys."""

    def __init__(self, weights: StoredWeights) -> None:
        """Take over what was decided for each weight."""
        self.nbytes: dict[str, int] = {}
        self._weights = weights
        self._names = {choice.key: layer_name(choice.name) for choice in weights.choices}
        self._stored: dict[Value, tuple[str | None, StoredMatrix]] = {}
        self._packed: dict[tuple[Value, str], tuple[Value, ...]] = {}
        self._sizes: dict[Value, PrunedSize | None] = {}

    def storage(self, matrix: Value) -> Storage:
        """What the right operand of a product is stored in; a state is float32."""
        return FLOAT32 if matrix.data is None else self._find(matrix)[1].storage

    def stored_bytes(self, matrix: Value) -> int:
        """What the right operand of a product takes as stored, before it is packed."""
        return self._find(matrix)[1].nbytes

    def smallest_bytes(self, matrix: Value, listable: bool) -> int:
        """The same, or what it takes without its zeros where that is less and a kernel reads it so."""
        size, stored = self.pruned_size(matrix) if listable else None, self.stored_bytes(matrix)
        return stored if size is None else min(stored, size.nbytes)

    def for_event(self, name: str, matrix: Value) -> tuple[Value, ...]:
        """What an event-driven product reads: the weights and, beside integers, their scales.

        Of float32 weights and states that is the value itself. `name` is the product's.
        """
        if not self.storage(matrix).is_plain:
            return self.packed(name, matrix, "event", pack_event)
        if matrix.kind == "weight":
            matrix.name = name + WEIGHT_SUFFIX
        return (matrix,)

    def for_rows(self, name: str, matrix: Value) -> tuple[Value, ...]:
        """What an event-driven product by rows reads: that of `for_event`, or short scales and their units."""
        if not self.storage(matrix).scaled_by_group:
            return self.for_event(name, matrix)

        def pack(stored: StoredMatrix) -> Sequence[NDArray[np.generic] | None]:
            weights, scales = pack_event(stored)
            short = short_scales(stored)
            return (weights, scales, None) if short is None else (weights, short[0].ravel(), short[1])

        return self._made(name, matrix, "rows", (WEIGHT_SUFFIX, SCALES_SUFFIX, UNITS_SUFFIX), pack)

    def sums_exactly(self, matrix: Value, weights: tuple[Value, ...]) -> bool:
        """Whether float32 holds every sum of what `for_rows` made of a weight, where inputs are 0 or 1."""
        if len(weights) < 3:
            return False
        _, scales, units = (value.data for value in weights)
        assert scales is not None
        assert units is not None
        return sums_are_exact(self._find(matrix)[1], scales.reshape(-1, units.size), units)

    def for_dense(self, name: str, matrix: Value, tile: int) -> tuple[Value, ...]:
        """What a dense product with tiles of so many columns reads."""
        return self.packed(name, matrix, f"dense {tile}", lambda stored: pack_dense(stored, tile))

    def for_fixed(self, name: str, matrix: Value, tile: int) -> tuple[Value, ...]:
        """What a product of inputs in fixed point with tiles of so many columns reads."""
        return self.packed(name, matrix, f"fixed {tile}", lambda stored: pack_fixed(stored, tile))

    def for_dots(self, name: str, matrix: Value, tile: int, dots: ByteDots) -> tuple[Value, ...]:
        """The same where an instruction multiplies bytes four by four."""
        return self.packed(name, matrix, f"dots {tile}", lambda stored: pack_dots(stored, tile, dots))

    def for_integers(self, name: str, matrix: Value, tile: int) -> tuple[Value, ...]:
        """What a product of integers with tiles of so many columns reads."""
        return self.packed(name, matrix, f"integers {tile}", lambda stored: (pack_pairs(stored.values, tile), None))

    def for_pruned(self, name: str, matrix: Value) -> tuple[Value, ...]:
        """What a product reads that skips the zeros of a weight: what `pack_pruned` makes."""
        suffixes = (WEIGHT_SUFFIX, GAPS_SUFFIX, STARTS_SUFFIX, SCALES_SUFFIX)
        return self._made(name, matrix, "pruned", suffixes, lambda stored: pack_pruned(stored).in_order)

    def for_lanes(self, name: str, matrix: Value, lanes: int) -> tuple[Value, ...]:
        """What a dense product reads that skips the zeros of a weight in vectors of so many lanes."""
        size, suffixes = self.pruned_size(matrix), (WEIGHT_SUFFIX, *LANE_SUFFIXES)
        sort = size is not None and size.sorts

        def pack(stored: StoredMatrix) -> Sequence[NDArray[np.generic] | None]:
            return pack_lanes(stored, lanes, sort=sort).in_order

        return self._made(name, matrix, f"lanes {lanes}", suffixes, pack)

    def pruned_size(self, matrix: Value) -> PrunedSize | None:
        """How large a weight is without its zeros; None where it is no pruned one (`PrunedSize.of`)."""
        if matrix not in self._sizes:
            self._sizes[matrix] = None if matrix.data is None else PrunedSize.of(self._find(matrix)[1])
        return self._sizes[matrix]

    def packed(self, name: str, matrix: Value, form: str, pack: Callable[[StoredMatrix], Packed]) -> tuple[Value, ...]:
        """What `pack` makes of a weight, the weights and any scales; made once for each `form`."""
        return self._made(name, matrix, form, (WEIGHT_SUFFIX, SCALES_SUFFIX), pack)

    def _made(
        self,
        name: str,
        matrix: Value,
        form: str,
        suffixes: tuple[str, ...],
        pack: Callable[[StoredMatrix], Sequence[NDArray[np.generic] | None]],
    ) -> tuple[Value, ...]:
        """The arrays that `pack` makes of a weight, those that there are, each named by its suffix."""
        if (matrix, form) not in self._packed:
            key, stored = self._find(matrix)
            named = zip(suffixes, pack(stored), strict=True)
            values = [_weight(name + suffix, data) for suffix, data in named if data is not None]
            self._packed[matrix, form] = tuple(values)
            if key is not None:
                self.nbytes[key] = self.nbytes.get(key, 0) + sum(value.nbytes for value in values)
        return self._packed[matrix, form]

    def take_over(self, key: str, values: tuple[Value, ...]) -> None:
        """Name and count values that were packed before: an embedding table and its scales."""
        for value, suffix in zip(values, (WEIGHT_SUFFIX, SCALES_SUFFIX), strict=False):
            value.name = self._names[key] + suffix
        self.nbytes[key] = self.nbytes.get(key, 0) + sum(value.nbytes for value in values)

    def _find(self, matrix: Value) -> tuple[str | None, StoredMatrix]:
        """The key and stored form of a weight; without a key it is float32, or a graph's own int8, as it lies."""
        if matrix not in self._stored:
            assert matrix.data is not None
            if matrix.data.dtype == np.int8:
                self._stored[matrix] = (None, store_integers(matrix.data))
            else:
                self._stored[matrix] = self._weights.find(matrix.data) or (None, store(matrix.data, FLOAT32))
        return self._stored[matrix]


def _weight(name: str, data: NDArray[np.generic]) -> Value:
    return Value(name, data.shape, str(data.dtype), "weight", data)
