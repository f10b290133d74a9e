"""What may not change in a model from one tick to a later one, and words for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from astroedge.errors import ExportError, NoStateError
from astroedge.exporters.shared.labels import label
from astroedge.exporters.shared.randomness import refuse_random
from astroedge.exporters.state.external_state import OF_A_MODULE
from astroedge.exporters.state.locations import Location
from astroedge.exporters.state.snapshot import Advance, Kept, Note, Snapshot, changed, has_value, same_value

CURE = "make it a tensor (register_buffer) or an input, or remove it if it only counts"


def refuse_changes(model: nn.Module, before: Snapshot, after: Snapshot) -> None:
    """In the modules, nothing but tensors of fixed shapes may change from one tick to the next.

    Raises ExportError for a changing Python value or parameter, and for memory that grows or comes and goes.
    """
    for location, old, new in changed(before.others, after.others):
        if isinstance(new, Advance) and isinstance(new.state, bytes):
            refuse_random(_owner(model, location), f"the generator {location.name!r}")
        kind = new.kind if isinstance(new, Advance) else f"Python {type(new).__name__}"
        raise ExportError(
            f"{_owner(model, location)} keeps a {kind} that changes every tick, {location.name!r} "
            f"({_shown(old)} → {_shown(new)}), which a graph would freeze; {CURE}."
        )
    for name, (tensor, version) in after.parameters.items():
        old, old_version = before.parameters.get(name, (tensor, version))
        if old is not tensor or old_version != version:
            _refuse_parameter(model, name)
    refuse_growth(model, before, after)
    for location, note in after.tensors.items():
        refuse_change(_owner(model, location), location.name, before.tensors[location].value, note.value)


def refuse_written_parameters(model: nn.Module, values: Mapping[str, Kept]) -> None:
    """Refuse parameters that are not what they were a tick ago: writing through `.data` makes no new version."""
    for name, parameter in model.named_parameters():
        if name in values and not has_value(parameter, values[name]):
            _refuse_parameter(model, name)


def _refuse_parameter(model: nn.Module, name: str) -> NoReturn:
    path = name.rpartition(".")[0]
    raise ExportError(
        f"{label(path, model.get_submodule(path))} changes its parameter {name!r} in every step, and "
        "parameters are constants of a step; make it a buffer (register_buffer) if it is state."
    )


def refuse_first_parameters(model: nn.Module, cold: Snapshot, later: Snapshot) -> None:
    """Refuse parameters that the first ticks make or set: the user's own model lacks them."""
    for name, (tensor, version) in later.parameters.items():
        old, old_version = cold.parameters.get(name, (None, 0))
        if old is not tensor or old_version != version:
            path = name.rpartition(".")[0]
            raise ExportError(
                f"{label(path, model.get_submodule(path))} sets its parameter {name!r} when it is first called, and "
                "export would keep what the example or chance makes of it; call the model once before, then reset it."
            )


def refuse_external(before: Snapshot, after: Snapshot, kind: type[ExportError]) -> None:
    """Nothing outside the modules may change from one tick to the next; raises `kind`."""
    new = before.external.keys() ^ after.external.keys()
    for where in (*new, *(where for where, _, _ in changed(before.external, after.external))):
        cure = "hold it in a buffer (register_buffer), pass it with states=, or remove it if it only records"
        if OF_A_MODULE in where:
            cure = "give export the module itself, or a method of a module that holds it"
        raise kind(
            f"State is kept outside the modules: {where} changes every tick, and no graph can carry that; {cure}."
        )


def refuse_late_changes(model: nn.Module, before: Snapshot, after: Snapshot, states: set[Location], ticks: int) -> None:
    """What is no state may not have changed over many ticks, even if a tick here and there left it alone."""
    tensors = [
        (location, note.value, after.tensors[location].value)
        for location, note in before.tensors.items()
        if location not in states
        and location in after.tensors
        and not same_value(note.value, after.tensors[location].value)
    ]
    for location, old, new in (*tensors, *changed(before.others, after.others)):
        raise ExportError(
            f"{_owner(model, location)} changes {location.name!r} now and then ({_shown(old)} → {_shown(new)} within "
            f"{ticks} ticks, but not in the first ones), and a graph would freeze it; make it a tensor that every tick "
            "writes, with torch.where in place of `if`."
        )
    for where, old, new in changed(before.external, after.external):
        raise ExportError(
            f"State is kept outside the modules: {where} changes now and then ({_shown(old)} → {_shown(new)} within "
            f"{ticks} ticks), and no graph can carry that; hold it in a buffer that every tick writes."
        )


def refuse_change(who: str, name: str, old: Tensor, new: Tensor) -> None:
    """A state keeps its shape and dtype; `who` is the module or function that it belongs to."""
    if new.numel() > old.numel() == 0:
        raise ExportError(
            f"{who} is given its state {name!r} empty, as {_kind(old)}, and makes it {_kind(new)} in one tick, and a "
            f"state keeps its shape: give zeros of the shape it has after a tick, torch.zeros({_sizes(new)})."
        )
    if (old.shape, old.dtype) != (new.shape, new.dtype):
        raise ExportError(
            f"{who} changes its state {name!r} from {_kind(old)} to {_kind(new)} in one tick, and a state keeps its "
            "shape and dtype: use torch.roll on a tensor of fixed length instead of one that grows, and return "
            "explicit states last, in the order of the arguments."
        )


def refuse_growth(model: nn.Module, before: Snapshot, after: Snapshot) -> None:
    """Memory keeps its structure."""
    for one, other in ((before, after), (after, before)):
        for location in (*(other.tensors.keys() - one.tensors.keys()), *(other.others.keys() - one.others.keys())):
            raise ExportError(
                f"{_owner(model, location)} grows or changes its structure: {location.name!r} comes or goes from one "
                "tick to the next, and a state keeps its shape; hold a fixed number of tensors, there from the start, "
                "and turn off what records every tick (such as `store_v_seq`)."
            )


def refuse_stateless(who: str, unread: Sequence[str]) -> NoReturn:
    """A step carries something over; `unread` are the names of states that were found, but that nothing reads."""
    found = f"only {', '.join(repr(name) for name in unread)}, which nothing reads" if unread else "none"
    raise NoStateError(
        f"Nothing carries over from one call of {who} to the next (state found: {found}); a stateless model "
        "needs no AstroEdge, and a stateful one keeps its state out of sight: hold it in buffers or pass it with "
        "states=. A loop over time inside forward must be taken out: export what stands inside the loop."
    )


def _owner(model: nn.Module, location: Location) -> str:
    """The module that keeps something at a place, in words."""
    return label(location.module, model.get_submodule(location.module))


def _shown(value: Any) -> str:
    """A value on one short line."""
    if isinstance(value, Note):
        value = value.value
    if isinstance(value, Advance):
        return str(value.state) if not isinstance(value.state, bytes) else "…"
    plain = value.flatten().tolist() if isinstance(value, (Tensor, np.ndarray)) else value
    text = " ".join(repr(plain).split())
    return text if len(text) <= 40 else f"{text[:37]}…"


def _sizes(tensor: Tensor) -> str:
    """The arguments of `torch.zeros` for a tensor of this shape and dtype."""
    sizes = ", ".join(map(str, tensor.shape)) or "()"
    return sizes if tensor.dtype == torch.float32 else f"{sizes}, dtype={tensor.dtype}"


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
