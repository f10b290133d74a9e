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
from astroedge.exporters.state.locations import HiddenState, Location, memory
from astroedge.exporters.state.refuse_changes import (
    refuse_change,
    refuse_changes,
    refuse_external,
    refuse_first_parameters,
    refuse_growth,
    refuse_written_parameters,
)
from astroedge.exporters.state.snapshot import Note, Snapshot, equal, keep_value, same_value
from astroedge.exporters.step_call.signature import StepCall


@dataclass(frozen=True)
class FoundState:
    """A hidden state, its value before the first tick, and how that value was found."""

    hidden: HiddenState
    initial: Tensor


@dataclass(frozen=True)
class Found:
    """The hidden states of a model, and what else it set in its first ticks and kept since: tensors by their values."""

    states: list[FoundState]
    kept: Mapping[Location | str, Any]


def find_hidden_state(call: StepCall, examples: Sequence[tuple[Tensor, ...]]) -> Found:
    """Step the model and return its hidden states, in the order in which its modules were made; maybe none.

    `call.model` must not have stepped since its last reset; it is left as it is after the third tick. Raises
    ExportError for a changing Python number or parameter, for memory that grows or comes and goes, and for memory
    outside the modules (NoStateError if there is no other).
    """
    shared = separate_shared_items(call.model)
    cold = Snapshot.of(call)
    ticks = _ticks(call, examples)
    next(ticks)
    first = Snapshot.of(call)
    next(ticks)
    before = Snapshot.of(call)
    parameters = {name: keep_value(item) for name, item in call.model.named_parameters() if not is_lazy(item)}
    next(ticks)
    after = Snapshot.of(call)
    _refuse_written(call.model, shared)
    refuse_growth(call.model, first, before)
    refuse_changes(call.model, before, after)
    refuse_written_parameters(call.model, parameters)
    refuse_first_parameters(call.model, cold, after)
    changed = [location for location in after.tensors if before.tensors[location].differs(after.tensors[location])]
    refuse_external(before, after, ExportError if changed or call.states else NoStateError)
    _refuse_overlaps(changed, before, after)
    states = [
        FoundState(HiddenState((location,)), _initial(cold, location, after.tensors[location].tensor))
        for location in changed
    ]
    return Found(_merged(states, before, after), set_since(cold, after, frozenset(changed)))


def separate_shared_items(model: nn.Module) -> list[tuple[Location, Note]]:
    """Give each item of a container a tensor of its own, as in `[torch.zeros(1, 8)] * 3`, in place.

    A delay line that starts like that passes one object on for some ticks, and its places would seem not to change.
    Returns the items that were one object, as they are now.
    """
    groups: dict[tuple[int, Location], list[Location]] = {}
    for location, value in list(memory(model)):
        if isinstance(value, Tensor) and location.inside:
            container = Location(location.module, location.key, location.inside[:-1])
            groups.setdefault((id(value), container), []).append(location)
    shared = [locations for locations in groups.values() if len(locations) > 1]
    for locations in shared:
        for location in locations[1:]:
            location.set(model, location.get(model).clone())
    return [(location, Note.of(location.get(model))) for locations in shared for location in locations]


def _refuse_written(model: nn.Module, shared: Sequence[tuple[Location, Note]]) -> None:
    """Refuse a model that wrote into one of the items that had been one object: in the model it changed all of them."""
    for location, note in shared:
        if note.differs(Note.of(note.tensor)):
            raise ExportError(
                f"{label(location.module, model.get_submodule(location.module))} holds one tensor at several places of "
                f"{location.key!r}, as [tensor] * 3 makes them, and writes to it in place, so that a write to one "
                "changes all; make each its own tensor, as in [torch.zeros(1, 8) for _ in range(3)]."
            )


def set_since(cold: Snapshot, later: Snapshot, states: frozenset[Location]) -> dict[Location | str, Any]:
    """What is no state and has another value than in the cold model, by place or description.

    Tensors are given as their values.
    """
    tensors = {location: note.value for location, note in later.tensors.items() if location not in states}
    was = {location: note.value for location, note in cold.tensors.items()}
    found = {
        location: value
        for location, value in tensors.items()
        if location not in was or not same_value(was[location], value)
    }
    others = {location: value for location, value in later.others.items() if value is not None}
    external = {where: _plain(value) for where, value in later.external.items() if value is not None}
    remote = {where: value for where, value in external.items() if not equal(_plain(cold.external.get(where)), value)}
    return (
        found
        | remote
        | {location: value for location, value in others.items() if not equal(cold.others.get(location), value)}
    )


def _plain(item: Any) -> Any:
    return item.value if isinstance(item, Note) else item


def _ticks(call: StepCall, examples: Sequence[tuple[Tensor, ...]]) -> Iterator[None]:
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


def _initial(cold: Snapshot, location: Location, steady: Tensor) -> Tensor:
    """The value before the first tick, in the shape the state has later.

    What the cold model holds there if that broadcasts to the shape, be it a tensor or a number; else zeros, for
    memory that the model makes in its first tick. Export compares the first tick too, so a wrong guess does not pass.
    """
    value: Any = cold.tensors[location].value if location in cold.tensors else cold.others.get(location)
    if isinstance(value, (Tensor, int, float)):
        start = torch.as_tensor(value).to(steady.dtype)
        try:
            return start.broadcast_to(steady.shape).clone()
        except RuntimeError:
            pass
    return torch.zeros_like(steady)


def _merged(states: list[FoundState], before: Snapshot, after: Snapshot) -> list[FoundState]:
    """Join states whose places hold one tensor object at every tick and start alike: writing to one writes to all."""
    groups: dict[tuple[int, int], list[FoundState]] = {}
    for state in states:
        location = state.hidden.locations[0]
        key = (_identity(before.tensors[location]), _identity(after.tensors[location]))
        groups.setdefault(key, []).append(state)
    merged = []
    for members in groups.values():
        if all(same_value(members[0].initial, member.initial) for member in members):
            locations = tuple(member.hidden.locations[0] for member in members)
            merged.append(FoundState(HiddenState(locations), members[0].initial))
        else:
            merged += members
    return merged


def _refuse_overlaps(changed: Sequence[Location], before: Snapshot, after: Snapshot) -> None:
    """Refuse states that are different views of the same elements: writing to one would write to the other."""
    by_storage: dict[int, list[Location]] = {}
    for location in changed:
        by_storage.setdefault(after.tensors[location].tensor.untyped_storage().data_ptr(), []).append(location)
    for locations in by_storage.values():
        for one, other in combinations(locations, 2):
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
