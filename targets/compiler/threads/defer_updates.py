"""Updates of which a tick reads a few rows: those first, the others while thread 0 has work of its own.

A linear attention updates a large state, H, and reads the rows of it that spikes select. For these rows the rest of the
tick waits, for the others nothing does: the threads but thread 0 update them where they would wait for it, in slices
that take them about as long as what it does there alone takes it. All that touches the state is theirs, the product and
what is divided like it too, so that the state stays in their caches.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from astroedge.targets.compiler.program.plan_memory import Place
from astroedge.targets.compiler.program.step_program import KernelCall, StepProgram, Value
from astroedge.targets.compiler.threads.call_sizes import are_worth_a_team, is_large, touched_bytes
from astroedge.targets.compiler.threads.order_calls import Ordered, overlap, ranges_of
from astroedge.targets.compiler.threads.split_update import SplitUpdate, split_update
from astroedge.targets.tir_builder import OWN

# An update goes over so many bytes while small calls go over one. With two threads, an AstroSNN of 25 million weights:
# the 266 KB of its update took one of them 5.4 µs, and what the other does alone, 167 KB in four stretches, 5.5 µs and
# the points around them 1.5 µs, 1.9 times as many bytes in the time. With more threads an update is faster.
UPDATE_BYTES = 2


@dataclass(frozen=True)
class Update:
    """The numbers of calls: one lists the ones of `spikes`, one updates a state, one reads the rows that are listed.

    Behind `end`, the next update, or how many calls there are, nothing of this one is done.
    """

    listing: int
    update: int
    answer: int
    spikes: Value
    end: int


@dataclass(frozen=True)
class TeamOrder:
    """What a team calls in place of the calls of one thread, `alike` as `order_calls` takes it.

    `split` has, by the numbers of the updates that are split in the calls of one thread, those of the calls of the
    listed rows and of the product that reads them.
    """

    calls: list[KernelCall]
    alike: dict[int, int]
    split: dict[int, tuple[int, int]]


def hold_for_updates(program: StepProgram) -> StepProgram:
    """Give nothing the bytes of what updates read that threads may put off, until the last call before which they may.

    An update that is not put off after all keeps them, too; one is not put off that would find them overwritten.
    """
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
        listing = None if answer is None else _listing(calls[:number], calls[answer].reads[0])
        if answer is not None and listing is not None:
            found.append(Update(listing, number, answer, calls[listing].reads[0], len(calls)))
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


def _listing(calls: Sequence[KernelCall], indices: Value) -> int | None:
    """The number of the call that makes this list of spikes, if one of them does."""
    makers = (number for number, call in enumerate(calls) if call.kind == "active-list" and indices in call.writes)
    return next(makers, None)


def defer_updates(
    calls: Sequence[KernelCall], ordered: Sequence[Ordered], places: Mapping[Value, Place], whole: Collection[int] = ()
) -> TeamOrder:
    """Split the updates whose rows that are not listed fit into what thread 0 does alone behind them.

    Those stay whole whose numbers are in `whole`.
    """
    splits: dict[int, tuple[Update, SplitUpdate]] = {}
    slices: dict[int, list[tuple[int, KernelCall]]] = {}
    for item in find_updates(calls):
        split = None if item.update in whole else _split(calls, item, places)
        shares = None if split is None else _shares(calls, ordered, item, split.rows)
        if split is None or shares is None:
            continue
        splits[item.update] = (item, split)
        for place, first, end in shares:
            piece = _silent_rows(calls[item.update], item, split, first, end)
            slices.setdefault(place, []).append((item.update, piece))
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
        made.split[item.update] = (numbers[item.update], numbers[item.answer])
    return made


def _split(calls: Sequence[KernelCall], item: Update, places: Mapping[Value, Place]) -> SplitUpdate | None:
    """How to split an update; None where it cannot be, where others need what it puts off or change what it reads.

    What says which rows are listed has to be the same for all of them, from when the list is made.
    """
    call, answer = calls[item.update], calls[item.answer]
    (new,) = call.writes
    old = [index for index, value in enumerate(call.reads) if value.kind == "state" and places[value] == places[new]]
    if len(old) != 1 or len(answer.reads[0].shape) != 2:
        return None
    later = calls[item.update + 1 :]
    readers = [value for other in later if other is not answer for value in other.reads]
    written = [value for other in later for value in other.writes]
    changed = [value for other in calls[item.update + 1 : item.end] for value in other.writes]
    since_listed = [value for other in calls[item.listing + 1 : item.end] for value in other.writes]
    apart = (
        ([new], readers + written),
        (call.reads, changed),
        ([item.spikes], since_listed),
    )
    if any(_share_bytes(ours, theirs, places) for ours, theirs in apart):
        return None
    matrices, rows = answer.reads[0].shape
    return split_update(call.divided or call.function, matrices, rows, old[0])


def _share_bytes(ours: Sequence[Value], theirs: Sequence[Value], places: Mapping[Value, Place]) -> bool:
    """Whether any of some values lies where one of others does."""
    return any(overlap(one, two) for one in ranges_of(ours, places) for two in ranges_of(theirs, places))


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
