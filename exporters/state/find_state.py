"""Find the state that a model hides: what changes while it steps.

The model runs two ticks to settle, then one more. Every tensor that is another object, another version or another value
after that tick is state. A Python number that changes cannot be carried by a graph, and neither can a container that
grows: both are errors, because leaving them out would give a step that is silently wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, cycle
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from astroedge.errors import ExportError, NoStateError
from astroedge.exporters.shared.labels import label
from astroedge.exporters.state.locations import MemorySlot, Place, memory
from astroedge.exporters.state.snapshot import (
    Memory,
    Note,
    equal,
    refuse_change,
    refuse_changes,
    refuse_first_parameters,
    refuse_growth,
    refuse_outside,
    refuse_written_parameters,
    same_value,
)
from astroedge.exporters.step_call.signature import Call


@dataclass(frozen=True)
class HiddenState:
    """A slot, its value before the first tick, and how that value was found."""

    slot: MemorySlot
    initial: Tensor


@dataclass(frozen=True)
class Found:
    """The hidden states of a model, and what else it set in its first ticks and kept since: tensors by their values."""

    states: list[HiddenState]
    kept: Mapping[Place | str, Any]


def find_hidden_state(call: Call, examples: Sequence[tuple[Tensor, ...]]) -> Found:
    """Step the model and return its hidden states, in the order in which its modules were made; maybe none.

    `call.model` must not have stepped since its last reset; it is left as it is after the third tick. Raises
    ExportError for a changing Python number or parameter, for memory that grows or comes and goes, and for memory
    outside the modules (NoStateError if there is no other).
    """
    shared = part_shared_items(call.model)
    cold = Memory.of(call)
    ticks = _ticks(call, examples)
    next(ticks)
    first = Memory.of(call)
    next(ticks)
    before = Memory.of(call)
    parameters = {name: item.detach().clone() for name, item in call.model.named_parameters() if not is_lazy(item)}
    next(ticks)
    after = Memory.of(call)
    _refuse_written(call.model, shared)
    refuse_growth(call.model, first, before)
    refuse_changes(call.model, before, after)
    refuse_written_parameters(call.model, parameters)
    refuse_first_parameters(call.model, cold, after)
    changed = [place for place in after.tensors if before.tensors[place].differs(after.tensors[place])]
    refuse_outside(before, after, ExportError if changed or call.states else NoStateError)
    _refuse_overlaps(changed, before, after)
    states = [
        HiddenState(MemorySlot((place,)), _initial(cold, place, after.tensors[place].tensor)) for place in changed
    ]
    return Found(_merged(states, before, after), set_since(cold, after, frozenset(changed)))


def part_shared_items(model: nn.Module) -> list[tuple[Place, Note]]:
    """Give each item of a container a tensor of its own, as in `[torch.zeros(1, 8)] * 3`, in place.

    A delay line that starts like that passes one object on for some ticks, and its places would seem not to change.
    Returns the items that were one object, as they are now.
    """
    groups: dict[tuple[int, Place], list[Place]] = {}
    for place, value in list(memory(model)):
        if isinstance(value, Tensor) and place.inside:
            container = Place(place.module, place.key, place.inside[:-1])
            groups.setdefault((id(value), container), []).append(place)
    shared = [places for places in groups.values() if len(places) > 1]
    for places in shared:
        for place in places[1:]:
            place.set(model, place.get(model).clone())
    return [(place, Note.of(place.get(model))) for places in shared for place in places]


def _refuse_written(model: nn.Module, shared: Sequence[tuple[Place, Note]]) -> None:
    """Refuse a model that wrote into one of the items that had been one object: in the model it changed all of them."""
    for place, note in shared:
        if note.differs(Note.of(note.tensor)):
            raise ExportError(
                f"{label(place.module, model.get_submodule(place.module))} holds one tensor at several places of "
                f"{place.key!r}, as [tensor] * 3 makes them, and writes to it in place, so that a write to one changes "
                "all; make each its own tensor, as in [torch.zeros(1, 8) for _ in range(3)]."
            )


def set_since(cold: Memory, later: Memory, states: frozenset[Place]) -> dict[Place | str, Any]:
    """What is no state and has another value than in the cold model, by place or description.

    Tensors are given as their values.
    """
    tensors = {place: note.value for place, note in later.tensors.items() if place not in states}
    was = {place: note.value for place, note in cold.tensors.items()}
    found = {place: value for place, value in tensors.items() if place not in was or not same_value(was[place], value)}
    others = {place: value for place, value in later.others.items() if value is not None}
    outside = {where: _plain(value) for where, value in later.outside.items() if value is not None}
    remote = {where: value for where, value in outside.items() if not equal(_plain(cold.outside.get(where)), value)}
    return (
        found | remote | {place: value for place, value in others.items() if not equal(cold.others.get(place), value)}
    )


def _plain(item: Any) -> Any:
    return item.value if isinstance(item, Note) else item


def _ticks(call: Call, examples: Sequence[tuple[Tensor, ...]]) -> Iterator[None]:
    """Step the model over the examples, again and again, carrying its explicit states."""
    states = call.state_leaves
    for inputs in cycle(examples):
        # Copies: a model may keep its input, and must not seem to keep the same one forever.
        copies = [tensor.clone() for tensor in inputs]
        with torch.no_grad():
            _, following = call(copies, [tensor.clone() for tensor in states])
        for name, old, new in zip(call.state_paths(), states, following, strict=True):
            refuse_change(call.label, name, old, new)
        states = following
        yield


def _initial(cold: Memory, place: Place, steady: Tensor) -> Tensor:
    """The value before the first tick, in the shape the state has later.

    What the cold model holds there if that broadcasts to the shape, be it a tensor or a number; else zeros, for
    memory that the model makes in its first tick. Export compares the first tick too, so a wrong guess does not pass.
    """
    value: Any = cold.tensors[place].value if place in cold.tensors else cold.others.get(place)
    if isinstance(value, (Tensor, int, float)):
        start = torch.as_tensor(value).to(steady.dtype)
        try:
            return start.broadcast_to(steady.shape).clone()
        except RuntimeError:
            pass
    return torch.zeros_like(steady)


def _merged(states: list[HiddenState], before: Memory, after: Memory) -> list[HiddenState]:
    """Join states whose places hold one tensor object at every tick and start alike: writing to one writes to all."""
    groups: dict[tuple[int, int], list[HiddenState]] = {}
    for state in states:
        place = state.slot.places[0]
        key = (_identity(before.tensors[place]), _identity(after.tensors[place]))
        groups.setdefault(key, []).append(state)
    merged = []
    for members in groups.values():
        if all(same_value(members[0].initial, member.initial) for member in members):
            places = tuple(member.slot.places[0] for member in members)
            merged.append(HiddenState(MemorySlot(places), members[0].initial))
        else:
            merged += members
    return merged


def _refuse_overlaps(changed: Sequence[Place], before: Memory, after: Memory) -> None:
    """Refuse states that are different views of the same elements: writing to one would write to the other."""
    by_storage: dict[int, list[Place]] = {}
    for place in changed:
        by_storage.setdefault(after.tensors[place].tensor.untyped_storage().data_ptr(), []).append(place)
    for places in by_storage.values():
        for one, other in combinations(places, 2):
            first, second = after.tensors[one].tensor, after.tensors[other].tensor
            stays = first is before.tensors[one].tensor or second is before.tensors[other].tensor
            if first is not second and stays and bool(torch.isin(_elements(first), _elements(second)).any()):
                raise ExportError(
                    f"States {one.name!r} and {other.name!r} are views of one memory, which the model writes in place, "
                    "so a change of one changes the other; give each its own tensor (clone()), or keep only one."
                )


def _elements(tensor: Tensor) -> Tensor:
    """The number of each element of a tensor in its storage."""
    size = tensor.untyped_storage().nbytes() // tensor.element_size()
    return torch.arange(size).as_strided(tensor.shape, tensor.stride(), tensor.storage_offset()).flatten()


def _identity(note: Note) -> int:
    return id(note.tensor)
