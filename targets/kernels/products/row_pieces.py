"""A piece of the listed rows of a matrix in memory: where its numbers lie, and how to fetch them ahead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.prefetch import LINE_BYTES, fetch
from astroedge.targets.kernels.stored_weights import cast
from astroedge.targets.precision.storage import Storage
from astroedge.targets.tir_builder import Buffer, Expression, in_vectors, load, store


@dataclass(frozen=True)
class RowOperands:
    """The parameters of an event-driven product by rows; see `event_rows`."""

    x: Buffer | None
    indices: Buffer
    bounds: Buffer
    weights: Buffer
    scales: Buffer | None
    units: Buffer | None
    y: Buffer
    sums: Buffer | None
    rows: int
    columns: int
    storage: Storage


@dataclass(frozen=True)
class RowPiece:
    """`width` columns from `first` of output `row`."""

    operands: RowOperands
    row: Expression
    first: Expression
    width: int

    def listed(self, position: Expression) -> Expression:
        """The input at a position of the list."""
        return self.operands.indices[self.row * self.operands.rows + position]

    def start_of(self, k: Expression) -> Expression:
        """Where in `weights` the piece of input k's row begins."""
        storage = self.operands.storage
        return k * storage.data_size(self.operands.columns) + storage.data_size(self.first)

    def fetch(self, begin: Expression, start: Expression) -> None:
        """Ask for the line of weights that holds column `start` of the piece that begins at `begin`."""
        fetch(self.operands.weights, begin + self.operands.storage.data_size(start))

    def for_lines(self, emit: Callable[[Expression, int], None]) -> None:
        """Emit something for the columns of every line of weights: the first of them in the piece, and how many."""
        line = LINE_BYTES * 8 // self.operands.storage.bits
        whole, rest = divmod(self.width, line)
        if whole:
            with tir.serial(0, whole) as index:
                emit(index * line, line)
        if rest:
            emit(tirx.const(whole * line, "int32"), rest)

    def for_vectors(self, emit: Callable[[Expression, int], None], lanes: int = 16) -> None:
        """Emit something for every vector of the piece: its first column in the piece and its lanes."""
        in_vectors(self.width, emit, lanes)

    def at(self, place: Expression) -> Expression:
        """Where in `y` and `sums` a column of the piece lies."""
        return self.row * self.operands.columns + self.first + place

    def y(self, place: Expression, lanes: int) -> Expression:
        """What `y` holds for `lanes` columns."""
        return load(self.operands.y, self.at(place), lanes)

    def put(self, place: Expression, lanes: int, value: Expression) -> None:
        """Write `y`."""
        store(self.operands.y, self.at(place), lanes, value)

    def scale(self, group: Expression, place: Expression, lanes: int) -> Expression:
        """The scales of a group of inputs, float32; the product of a short one with its unit is exact."""
        operands = self.operands
        scales = load(operands.scales, group * operands.columns + self.first + place, lanes)
        if operands.units is None:
            return scales
        return load(operands.units, self.first + place, lanes) * cast(scales, "float32", lanes)
