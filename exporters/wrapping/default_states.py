"""States that a model returns and makes itself when it is called without them: `forward(x, state=None)`.

A copy of the model is called once without states. What it returns last, as many values as arguments were left out, is
its state; PyTorch's cells return nothing else. The values it starts from are zeros, or what a framework's cell says it
made. They are tried: with them the copy must return, bit for bit, what it returns without.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from astroedge.errors import ExportError
from astroedge.exporters.frameworks import watch_starts
from astroedge.exporters.frameworks.protocol import Starts
from astroedge.exporters.state.locations import memory
from astroedge.exporters.step_call.signature import StepCall
from astroedge.exporters.step_call.state_tree import Leaf, leaves, rebuild


def with_own_states(call: StepCall) -> StepCall:
    """`call` with the states that its function makes itself, or `call` if that is not how it works.

    The model is not stepped. Raises ExportError if the states start from values that cannot be found out.
    """
    room = call.optional_arguments()
    if call.states or not room:
        return call
    cold, watched = _copy(call), _copy(call)
    if cold is None or watched is None:
        return call
    starts = watch_starts(watched.model)
    with torch.no_grad():
        result = watched.invoke([tensor.clone() for tensor in call.inputs], ())
    states = _returned_states(call, result, room)
    if states is None or not _leaves(states) or _is_hidden(states, watched.model):
        return call
    initial = [_start(tensor, starts) for _, tensor in _leaves(states)]
    started = replace(call, states=tuple(rebuild(states, initial)))
    again = _run_from(replace(cold, states=started.states))
    wanted = _leaves(result)
    if again is None or [_kind(leaf) for leaf in again] != [_kind(leaf) for leaf in wanted]:
        return call
    if not all(torch.equal(one, other) for (_, one), (_, other) in zip(again, wanted, strict=True)):
        raise ExportError(
            f"{call.label} returns its state and starts it, when called without, from values that are not zero and "
            "not known; pass the initial states to export with states=."
        )
    return started


def _copy(call: StepCall) -> StepCall | None:
    """The call on a copy of the model, which shares its parameters; None for a model that cannot be copied."""
    known: dict[int, Any] = {id(tensor): tensor for tensor in call.model.parameters()}
    known |= {id(value): value.detach().clone() for _, value in memory(call.model) if isinstance(value, Tensor)}
    try:
        model = copy.deepcopy(call.model, known)
    except Exception:  # the user's own classes can fail in any way of their own when they are copied
        return None
    if call.function is call.model:
        return replace(call, function=model, model=model)
    name = getattr(call.function, "__name__", "")
    bound = getattr(call.function, "__self__", None) is call.model
    return replace(call, function=getattr(model, name) if bound else call.function, model=model)


def _returned_states(call: StepCall, result: Any, room: int) -> tuple[Any, ...] | None:
    """The values returned last, for the arguments left out; None if there are not enough."""
    if isinstance(call.function, nn.RNNCellBase):
        return (result,)
    if not isinstance(result, (tuple, list)) or hasattr(result, "_fields") or len(result) < 2:
        return None
    return tuple(result[-min(room, len(result) - 1) :])


def _is_hidden(states: Any, model: nn.Module) -> bool:
    """Whether all of it is in the model's memory, which is carried over without it."""
    held = {id(value) for _, value in memory(model)}
    return all(id(tensor) in held for _, tensor in _leaves(states))


def _start(tensor: Tensor, starts: Starts) -> Tensor:
    """The value that a returned state started from, in its later shape."""
    if id(tensor) in starts:
        start = starts[id(tensor)][1].to(tensor.dtype)
        try:
            return start.broadcast_to(tensor.shape).clone()
        except RuntimeError:
            pass
    return torch.zeros_like(tensor).detach()


def _run_from(call: StepCall) -> list[Leaf] | None:
    """Everything the first tick returns from given states; None if what is no state was given for one."""
    states = rebuild(call.states, [tensor.clone() for tensor in call.state_leaves])
    try:
        with torch.no_grad():
            return _leaves(call.invoke([tensor.clone() for tensor in call.inputs], states))
    except Exception:  # an optional argument that is no state may be refused in any way
        return None


def _leaves(tree: Any) -> list[Leaf]:
    """Every tensor in `tree`; none in what holds other things."""
    try:
        return leaves(tree)
    except TypeError:
        return []


def _kind(leaf: Leaf) -> tuple[str, torch.Size, torch.dtype]:
    return leaf[0], leaf[1].shape, leaf[1].dtype
