"""An element-wise update of a state that walks only the rows and columns in which something fired.

Where none of the tests holds that `unchanged.find_firing` found, the new value is the old one, which is there already.
A row that fired is walked in vectors. Of the others the vectors are that hold a column that fired, which are listed
first: a point by itself takes as long as they do. Where stored masks say that few points of a column ever change, the
rows of each are listed when the step is compiled, and its points are computed one by one; with so many columns that
this would take longer, all rows are walked, tick by tick. Every point is computed by the operations of
`schedule_blocks`, in their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.schedule.loop_nest import Assignment, Buffer, Expression
from astroedge.targets.schedule.unchanged import Firing
from astroedge.targets.schedule.update_terms import opposite
from astroedge.targets.schedule.vector_loops import Nest, Point, Run, on_axes
from astroedge.targets.schedule.vectorize import flat_argument
from astroedge.targets.tir_builder import chunks, hold, independent, kernel, span

if TYPE_CHECKING:
    from numpy.typing import NDArray

LISTED_POINT = 4.0
"""What a point by itself takes, in vectors of a row: it lies in a line of the cache of which nothing else is read."""

MOST_GROUPS = 0.45
"""With more than this share of the groups of columns listed, a row is walked faster from end to end."""


@dataclass(frozen=True)
class Update:
    """The update of a state: the last of `assignments` is its new value, made of `parameters` where `firing` says.

    `parameters` are those of the function, the new state last. `changing` `(rows, columns)` is False where the state
    never changes; None if that is not known.
    """

    parameters: Sequence[Buffer]
    assignments: list[Assignment]
    firing: Firing
    changing: NDArray[np.bool_] | None = None

    @property
    def streams(self) -> int:
        """How many lists of columns there are: the places of the axes that they depend on."""
        return prod(self.long[: self.firing.shared])

    @property
    def columns(self) -> int:
        """The places of the last axis that has several."""
        return self.long[-1]

    def groups(self, lanes: int) -> int:
        """How many whole groups of columns a row has that can be listed."""
        return self.columns // group_lanes(lanes) if self.firing.columns and self.changing is None else 0

    @property
    def long(self) -> list[int]:
        """The extents of the axes that have several places."""
        return [extent for extent in self.assignments[-1].extents if extent > 1]

    def most(self, lanes: int) -> int:
        """With more listed groups than this, or columns where rows are listed, it is faster to walk all rows."""
        if self.changing is None:
            return int(MOST_GROUPS * self.groups(lanes))
        return int(min(self.columns, self.columns / (lanes * LISTED_POINT * max(float(self.changing.mean()), 1e-9))))

    def row_lists(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Where the list of each column starts, `(columns + 1,)`, and the rows of one after the other, then a 0."""
        assert self.changing is not None
        columns, rows = np.nonzero(self.changing.T)
        starts = np.searchsorted(columns, np.arange(self.columns + 1))
        return starts.astype(np.int32), np.append(rows, 0).astype(np.int32)


def group_lanes(lanes: int) -> int:
    """The columns of a group, where a row is walked in vectors of `lanes`: fewer, so that more of them are silent."""
    return max(1, lanes // 2)


def column_list(update: Update, lanes: int) -> tuple[tirx.PrimFunc, list[int]]:
    """Kernel (*read, indices, counts): where columns fired; and which of the parameters it reads.

    - `indices`: (streams·groups,) int32, for each stream which groups of columns hold one that fired, ascending; what
      lies behind their end has no meaning; the columns behind the last whole group are in none;
    - `counts`: (2·streams,) int32, for each stream the number of such groups and of such columns behind the last.

    Where it is known which points change there are no groups, and no `indices`: the columns are only counted.
    """
    item, parameters = update.assignments[-1], update.parameters
    tests = Assignment(
        "fired", item.axes, item.extents, tuple((parameters[-1], test) for test in update.firing.columns)
    )
    read = [index for index, buffer in enumerate(parameters) if tests.reads(buffer)]
    whole, size = update.groups(lanes), group_lanes(lanes)
    with kernel("active-columns") as built:
        flat = {parameters[index]: flat_argument(built, parameters[index]) for index in read}
        indices = built.argument("indices", (update.streams * whole,), "int32") if whole else None
        counts = built.argument("counts", (2 * update.streams,), "int32")
        nest = _Rows([item], flat, lanes=1)
        with nest.walk(nest.runs[: update.firing.shared]) as places:
            stream = nest.flat_place(places)
            found = tir.alloc_buffer((2,), "int32")
            tir.buffer_store(found, 0, [0])
            if indices is not None:
                with tir.serial(0, nest.number(whole)) as group:
                    tir.buffer_store(indices, tirx.Cast("int32", group), [stream * whole + found[0]])
                    _count_fired(nest, update, places, group * size, size, found)
                    tir.buffer_store(found, found[0] + tirx.min(found[1], _int(1)), [0])
            _count_fired(nest, update, places, nest.number(whole * size), update.columns - whole * size, found)
            tir.buffer_store(counts, found[0], [stream * 2])
            tir.buffer_store(counts, found[1], [stream * 2 + 1])
    return built.function, read


def _count_fired(
    nest: _Rows, update: Update, places: dict[Run, Expression], first: Expression, columns: int, found: Buffer
) -> None:
    """Set found[1] to how many of so many columns from `first` fired."""
    tir.buffer_store(found, 0, [1])
    if columns:
        with tir.serial(0, nest.number(columns)) as column:
            fired = nest.any_of(update.firing.columns, {**places, nest.runs[-1]: first + column})
            tir.buffer_store(found, found[1] + tirx.Select(fired, _int(1), _int(0)), [1])


def active_update(update: Update, lanes: int) -> tirx.PrimFunc:
    """Kernel (*read, [indices], [counts], [starts, rows], state): the update in place, where something fired.

    - `read` are the parameters but the last, with the state as it was among them, which lies where `state` does;
    - `indices` and `counts` as `column_list` writes them, only if columns can fire;
    - `starts` and `rows` as `row_lists` gives them, only if it is known which points change.
    """
    listed = update.changing is not None
    whole = update.groups(lanes)
    with kernel("active-update") as built:
        flat = {buffer: flat_argument(built, buffer) for buffer in update.parameters[:-1]}
        by_column = bool(update.firing.columns)
        indices = built.argument("indices", (update.streams * whole,), "int32") if by_column and whole else None
        counts = built.argument("counts", (2 * update.streams,), "int32") if by_column else None
        starts = built.argument("starts", (update.columns + 1,), "int32") if listed else None
        rows = built.argument("rows", (len(update.row_lists()[1]),), "int32") if listed else None
        flat[update.parameters[-1]] = flat_argument(built, update.parameters[-1])
        walk = _Walk(_Rows(update.assignments, flat, lanes), update, indices, counts, starts, rows)
        walk.walk_rows()
        if listed:
            walk.walk_columns()
    return built.function


@dataclass(frozen=True)
class _Walk:
    """Emits the loops of `active_update`, whose arguments these are; those that it does not take are None."""

    nest: _Rows
    update: Update
    indices: Buffer
    counts: Buffer
    starts: Buffer
    rows: Buffer

    def walk_rows(self) -> None:
        """All of the rows that fired; of each other one the vectors that hold a column that did, if they are listed."""
        nest = self.nest
        with nest.walk(nest.runs[:-1]) as places:
            fired = nest.any_of(self.update.firing.rows, places)
            if self.counts is not None:
                fired = tirx.Or(self._are_too_many(places), fired)
            with tir.If(fired):
                with tir.Then():
                    nest.emit_run(places, nest.runs[-1], _serial)
                if self.counts is not None and self.update.changing is None:
                    with tir.Else():
                        self._walk_groups(places)

    def walk_columns(self) -> None:
        """Of the columns that fired, the points that can change and that no row has covered."""
        nest = self.nest
        *streams, row, column = nest.runs
        with nest.walk([*streams, column]) as places:
            fired = nest.any_of(self.update.firing.columns, places)
            with tir.If(tirx.And(fired, opposite(self._are_too_many(places)))), tir.Then():
                first = places[column]
                with span(self.starts[first], self.starts[first + nest.number(1)]) as position:
                    here = {**places, row: tirx.Cast(nest.dtype, hold(self.rows[position]))}
                    with tir.If(opposite(nest.any_of(self.update.firing.rows, here))), tir.Then():
                        nest.emit_vector(nest.assignments, here, column, first, 1)

    def _walk_groups(self, places: dict[Run, Expression]) -> None:
        """The listed vectors of a row, and what lies behind the last whole one if something fired there."""
        nest, stream = self.nest, self._stream(places)
        column, whole, size = nest.runs[-1], self.update.groups(nest.lanes), group_lanes(nest.lanes)
        if self.indices is not None:
            with tir.serial(0, hold(self.counts[stream * 2])) as position:
                place = hold(self.indices[stream * whole + tirx.Cast(nest.dtype, position)])
                nest.emit_vector(nest.assignments, places, column, tirx.Cast(nest.dtype, place) * size, size)
        begin = whole * size
        if begin < self.update.columns:
            with tir.If(self.counts[stream * 2 + 1] > 0), tir.Then():
                for offset, lanes in chunks(self.update.columns - begin, size):
                    nest.emit_vector(nest.assignments, places, column, nest.number(begin + offset), lanes)

    def _are_too_many(self, places: dict[Run, Expression]) -> Expression:
        number = self._stream(places) * 2 + (0 if self.update.changing is None else 1)
        return self.counts[number] > self.update.most(self.nest.lanes)

    def _stream(self, places: dict[Run, Expression]) -> Expression:
        return self.nest.flat_place({run: places[run] for run in self.nest.runs[: self.update.firing.shared]})


class _Rows(Nest):
    """A nest each of whose axes is walked by itself; places that are not given are 0."""

    def __init__(self, assignments: list[Assignment], flat: dict[Buffer, Buffer], lanes: int) -> None:
        super().__init__(assignments, flat, lanes)
        self.named = assignments[-1].axes  # as the tests name them

    def find_runs(self) -> list[Run]:
        """Every axis of several places."""
        return [Run((position,), extent) for position, extent in enumerate(self.extents) if extent > 1]

    @contextmanager
    def walk(self, runs: Sequence[Run]) -> Iterator[dict[Run, Expression]]:
        """Loops over these runs, which threads may divide; gives the place along each."""
        with ExitStack() as loops:
            yield {run: loops.enter_context(independent(self.number(run.extent))) for run in runs}

    def flat_place(self, places: dict[Run, Expression]) -> Expression:
        """The number of a place along several runs, counted row by row."""
        return reduce(lambda place, item: place * item[0].extent + item[1], places.items(), self.number(0))

    def any_of(self, tests: Sequence[Expression], places: dict[Run, Expression]) -> Expression:
        """Whether one of the tests holds at a place."""
        return reduce(tirx.Or, self._values(tests, places), tirx.const(False, "bool"))

    def _values(self, tests: Sequence[Expression], places: dict[Run, Expression]) -> list[Expression]:
        point = Point(self, {**{run: self.number(0) for run in self.runs}, **places})
        found = []
        for test in tests:
            item = on_axes(Assignment("test", self.named, self.extents, ((None, test),)), self.axes)
            found.append(point.value(item, item.stores[0][1], {}, self.number(0)))
        return found


def _serial(count: Expression) -> Any:
    return tir.serial(0, count)


def _int(value: int) -> Expression:
    return tirx.const(value, "int32")
