"""Updates of which a tick reads a few rows: those first, the others while thread 0 has work of its own.

A linear attention updates a large state, H, and reads the rows of it that spikes select. What comes next hangs on these
rows, the others on nothing: threads but the first update them where they would wait, in slices of as many rows as
thread 0 is likely to need for what it does alone there. All that touches the state is then theirs, so that it stays in
their caches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from astroedge.targets.compiler.program.plan_memory import Place
from astroedge.targets.compiler.program.step_program import KernelCall, StepProgram, Value
from astroedge.targets.compiler.threads.call_sizes import are_worth_a_team, is_large, touched_bytes
from astroedge.targets.compiler.threads.order_calls import Ordered, overlap, ranges_of
from astroedge.targets.compiler.threads.split_update import SplitUpdate, split_update
from astroedge.targets.tir_builder import OWN

# An update goes over so many bytes while small calls go over one: each of these takes a while to begin, on lines that
# another core has written, and the points around them take time, too. Measured with two threads on an AstroSNN of 25
# million weights: 5.4 µs for the 266 KB of its update, 5.5 µs for the 167 KB of what thread 0 does alone in between.
UPDATE_BYTES = 2


@dataclass(frozen=True)
class Update:
    """The numbers of a call that updates a state, and of the one that reads the rows listed of `spikes`.

    `end` is that of the next update, or how many calls there are: what this one reads is kept until then.
    """

    update: int
    answer: int
    spikes: Value
    end: int


@dataclass(frozen=True)
class TeamOrder:
    """What a team calls in place of the calls of one thread, `alike` as `order_calls` takes it.

    `first` has for each update that is split the numbers of the call of its listed rows and of the one that reads them.
    """

    calls: list[KernelCall]
    alike: dict[int, int]
    first: dict[int, int]


def hold_for_updates(program: StepProgram) -> StepProgram:
    """Keep what updates read that threads may put off, until the last call before which they may still do so."""
    if not are_worth_a_team([call for call in program.calls if is_large(call)]):
        return program
    calls = list(program.calls)
    for item in find_updates(calls):
        place = min(item.end, len(calls) - 1)
        held = (*calls[place].held, *calls[item.update].reads, item.spikes)
        calls[place] = replace(calls[place], held=held)
    return replace(program, calls=calls)


def find_updates(calls: Sequence[KernelCall]) -> list[Update]:
    """The large updates of states of which one product alone reads rows, those that a list names.

    Not those for which there cannot be time.
    """
    found: list[Update] = []
    for number in range(len(calls)):
        answer = _answer(calls, number)
        spikes = None if answer is None else _listed_spikes(calls[:number], calls[answer].reads[0])
        if answer is not None and spikes is not None:
            found.append(Update(number, answer, spikes, len(calls)))
    ends = [*(item.update for item in found), len(calls)][1:]
    bounded = [replace(item, end=end) for item, end in zip(found, ends, strict=True)]
    return [item for item in bounded if _may_fit(calls, item)]


def _may_fit(calls: Sequence[KernelCall], item: Update) -> bool:
    """Whether there would be time for an update if thread 0 made all small calls behind it alone."""
    small = sum(touched_bytes(call) for call in calls[item.answer + 1 : item.end] if not is_large(call))
    return small * UPDATE_BYTES >= touched_bytes(calls[item.update])


def _answer(calls: Sequence[KernelCall], number: int) -> int | None:
    """The number of the product that alone reads rows of what an element-wise call makes; None if there is none."""
    call = calls[number]
    if call.kind != "element-wise" or len(call.writes) != 1 or not is_large(call):
        return None
    readers = [index for index, other in enumerate(calls) if call.writes[0] in other.reads]
    if len(readers) != 1:
        return None
    reader = calls[readers[0]]
    is_product = reader.kind == "event-gemv" and OWN in (reader.function.attrs or {})
    return readers[0] if is_product and reader.reads[2:] == call.writes else None


def _listed_spikes(calls: Sequence[KernelCall], indices: Value) -> Value | None:
    """The spikes of which one of the calls makes this list."""
    return next((call.reads[0] for call in calls if call.kind == "active-list" and indices in call.writes), None)


def defer_updates(calls: Sequence[KernelCall], ordered: Sequence[Ordered], places: Mapping[Value, Place]) -> TeamOrder:
    """Split the updates whose rows that are not listed fit into what thread 0 does alone behind them."""
    splits: dict[int, tuple[Update, SplitUpdate]] = {}
    slices: dict[int, list[tuple[int, KernelCall]]] = {}
    for item in find_updates(calls):
        split = _split(calls, item, places)
        shares = None if split is None else _shares(calls, ordered, item, split.rows)
        if split is None or shares is None:
            continue
        splits[item.update] = (item, split)
        for place, first, end in shares:
            slices.setdefault(place, []).append(
                (item.update, _silent_rows(calls[item.update], item, split, first, end))
            )
    return _in_order(calls, splits, slices)


def _in_order(
    calls: Sequence[KernelCall],
    splits: Mapping[int, tuple[Update, SplitUpdate]],
    slices: Mapping[int, list[tuple[int, KernelCall]]],
) -> TeamOrder:
    made = TeamOrder([], {}, {})
    numbers: dict[int, int] = {}
    for number, call in enumerate(calls):
        for update, piece in slices.get(number, []):
            made.alike[len(made.calls)] = numbers[update]
            made.calls.append(piece)
        numbers[number] = len(made.calls)
        item, split = splits.get(number, (None, None))
        made.calls.append(call if item is None or split is None else _listed_rows(call, calls[item.answer], split))
    for item, _ in splits.values():
        made.first[numbers[item.update]] = numbers[item.answer]
    return made


def _split(calls: Sequence[KernelCall], item: Update, places: Mapping[Value, Place]) -> SplitUpdate | None:
    """How to split an update; None where it cannot be, or where other calls need what it puts off or reads."""
    call, answer = calls[item.update], calls[item.answer]
    (new,) = call.writes
    old = [index for index, value in enumerate(call.reads) if value.kind == "state" and places[value] == places[new]]
    if len(old) != 1 or len(answer.reads[0].shape) != 2:
        return None
    (state,) = ranges_of([new], places)
    needed = ranges_of((*call.reads, item.spikes), places)
    for other in calls[item.update + 1 :]:
        touched = ranges_of(other.writes, places) + ([] if other is answer else ranges_of(other.reads, places))
        if any(overlap(place, state) for place in touched):
            return None
    for other in calls[item.update + 1 : item.end]:
        if any(overlap(place, mine) for place in ranges_of(other.writes, places) for mine in needed):
            return None
    matrices, rows = answer.reads[0].shape
    return split_update(call.divided or call.function, matrices, rows, old[0])


def _shares(
    calls: Sequence[KernelCall], ordered: Sequence[Ordered], item: Update, rows: int
) -> list[tuple[int, int, int]] | None:
    """Before which calls to update from which to which row; None where there is too little time."""
    waits = _waits(calls, ordered, item)
    total = sum(size for _, size in waits)
    if total * UPDATE_BYTES < touched_bytes(calls[item.update]):
        return None
    shares, done, before = [], 0, 0
    for place, size in waits:
        before += size
        end = rows * before // total
        if end > done:
            shares.append((place, done, end))
        done = end
    return shares


def _waits(calls: Sequence[KernelCall], ordered: Sequence[Ordered], item: Update) -> list[tuple[int, int]]:
    """Behind an update: the calls before which threads wait for thread 0, and over how many bytes that goes alone."""
    waits, alone = [], 0
    for number in range(item.answer + 1, min(item.end + 1, len(calls))):
        if not ordered[number].shared:
            alone += touched_bytes(calls[number])
        elif alone:
            waits.append((number, alone))
            alone = 0
    return waits


def _listed_rows(call: KernelCall, answer: KernelCall, split: SplitUpdate) -> KernelCall:
    return replace(call, function=split.listed(), divided=None, reads=(*call.reads, *answer.reads[:2]))


def _silent_rows(call: KernelCall, item: Update, split: SplitUpdate, first: int, end: int) -> KernelCall:
    function = split.silent(item.spikes.dtype, first, end)
    return replace(call, function=function, divided=None, reads=(*call.reads, item.spikes))
