"""SpikingJelly: modules keep their state in a dict of memories, which `functional.reset_net` restores.

In single-step mode a call is a tick. In multi-step mode it is as many as the first axis of its input is long, and with
one it is a tick too, if the module treats each tick alike and in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from astroedge.errors import ExportError
from astroedge.exporters.frameworks.protocol import Starts
from astroedge.exporters.shared.labels import derives_from, label

PACKAGE = "spikingjelly"
MEMORIES = "_memories"
CONTAINERS: tuple[str, ...] = (MEMORIES,)
BASE = "MemoryModule"
SINGLE_STEP = ("forward", "single_step_forward", "functional_forward", "single_step_functional_forward")


def refuse(path: str, module: nn.Module) -> None:
    """Recording of every tick, foreign kernels, random weights, a queue that is still to grow, and no mode at all."""
    settings: dict[str, Any] = {name: getattr(module, name, None) for name in ("step_mode", "store_v_seq", "backend")}
    who = label(path, module)
    if settings["step_mode"] == "s" and not _has_single_step(module):
        raise ExportError(
            f"{who} has no single-step mode: call functional.set_step_mode(net, 'm') and give inputs an axis of ticks "
            "of length 1, or use a module that has the mode."
        )
    if settings["store_v_seq"] is True:
        raise ExportError(
            f"{who} has store_v_seq on, which records the potential of every tick, so the model's memory grows; set "
            "store_v_seq = False before export."
        )
    if settings["backend"] not in (None, "torch"):  # a setting of versions before 2.0
        raise ExportError(
            f"{who} computes with backend {settings['backend']!r}, whose kernels cannot be traced; call "
            "functional.set_backend(net, 'torch') before export."
        )
    if derives_from(module, PACKAGE, "DropConnectLinear"):
        raise ExportError(
            f"{who} draws random numbers in evaluation mode, too; put a layer.Linear with 1 - p times its weight and "
            "bias in its place for the mean of what it draws."
        )
    if derives_from(module, PACKAGE, "Delay") or derives_from(module, PACKAGE, "SlidingPSN"):
        _refuse_growing_queue(who, module)


def refuse_call(path: str, module: nn.Module, arguments: tuple[Any, ...]) -> None:
    """In multi-step mode: several ticks in one call, and a module for which two ticks are not two calls of one."""
    if not _is_multi_step(module) or not arguments or not isinstance(arguments[0], Tensor):
        return
    x, who = arguments[0], label(path, module)
    if x.ndim and x.shape[0] != 1:
        raise ExportError(
            f"{who} is in multi-step mode and called with {x.shape[0]} ticks at once, and a step is one tick; call "
            "functional.set_step_mode(net, 's') and give inputs without an axis of ticks, or, if the network is "
            "multi-step only, call it with T = 1: an axis of ticks of length 1 (and set its own T to 1)."
        )
    if any(hasattr(child, "step_mode") for child in list(module.modules())[1:]):
        return
    _refuse_one_tick(who, module, x)
    if not _steps_alike(module, x):
        raise ExportError(
            f"{who} does something else with ticks one by one than with a sequence of them (it mixes them, or has "
            "weights for each), so it cannot run step by step; use a neuron or layer that has single-step mode."
        )


def note(path: str, module: nn.Module) -> str | None:
    """A module that has stepped since its last reset."""
    now, cold = getattr(module, MEMORIES, {}), getattr(module, f"{MEMORIES}_rv", {})
    if any(isinstance(value, Tensor) and not _is_reset(value, cold.get(key)) for key, value in now.items()):
        return (
            f"{label(path, module)} starts from what it holds now; call functional.reset_net(net) first for a cold "
            "start."
        )
    return None


def scratch(module: nn.Module) -> frozenset[str]:
    """Nothing: what a module writes, it reads."""
    return frozenset()


def make_static(module: nn.Module) -> None:
    """Nothing: settings are Python values."""


def watch_start(module: nn.Module, starts: Starts) -> None:
    """Nothing: modules keep their state and never return it."""


def _refuse_one_tick(who: str, module: nn.Module, x: Tensor) -> None:
    """A call that fails: on an input without the axis of ticks, or because there are weights for a number of them."""
    why = _failure(module, x)
    if why and _failure(module, x[None]) is None:
        raise ExportError(
            f"{who} takes an axis of ticks before the batch, and is given {list(x.shape)} without; call "
            "functional.set_step_mode(net, 'm') and give inputs an axis of ticks of length 1."
        )
    if why:
        raise ExportError(
            f"{who} fails on one tick, an input of shape {list(x.shape)} ({why}); check the shapes (ticks come before "
            "the batch), or, if it has weights for each tick, use a neuron or layer that has single-step mode."
        )


def _failure(module: nn.Module, x: Tensor) -> str | None:
    """In a line, why a module cannot be called with `x`; None if it can."""
    try:
        with torch.no_grad():
            deepcopy(module)(x)
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")
    return None


def _steps_alike(module: nn.Module, x: Tensor) -> bool:
    """Whether two ticks in one call give what two calls give, and leave the same memory."""
    at_once, in_turn = deepcopy(module), deepcopy(module)
    ticks = (x, 0.5 * x)
    try:
        with torch.no_grad():
            together, apart = at_once(torch.cat(ticks)), torch.cat([in_turn(tick) for tick in ticks])
    except Exception:  # a module with weights for each tick refuses another number of them in any way
        return False
    pairs = [(together, apart), *_memory_pairs(at_once, in_turn)]
    return all(one.shape == other.shape and torch.allclose(one, other, 1e-4, 1e-5) for one, other in pairs)


def _memory_pairs(one: nn.Module, other: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """The tensors that two modules hold under the same names."""
    held, also = getattr(one, MEMORIES, {}), getattr(other, MEMORIES, {})
    return [(value, also[key]) for key, value in held.items() if isinstance(value, Tensor)]


def _refuse_growing_queue(who: str, module: Any) -> None:
    """A delay and a sliding neuron start with an empty queue, which they fill in their first ticks."""
    sliding = derives_from(module, PACKAGE, "SlidingPSN")
    length = module.k if sliding else module.delay_steps
    if len(module.queue) < length:
        form = "flattened as its input is" if sliding else "in the shape of what it delays"
        raise ExportError(
            f"{who} fills its queue in the first ticks, and a step's state has its size from the start; set its queue "
            f"= [torch.zeros(…)] * {length}, {form}: zeros there change nothing of what it gives."
        )


def _is_multi_step(module: nn.Module) -> bool:
    """Whether the first axis of what a module is given counts ticks."""
    supported: Callable[[], tuple[str, ...]] | None = getattr(module, "supported_step_mode", None)
    if getattr(module, "step_mode", None) == "m":
        return True
    return supported is not None and "s" not in supported()


def _has_single_step(module: nn.Module) -> bool:
    """Whether a module says that it has single-step mode and, where its base class leaves that open, has written it."""
    supported: Callable[[], tuple[str, ...]] | None = getattr(module, "supported_step_mode", None)
    if supported is not None and "s" not in supported():
        return False
    base = next((kind for kind in type(module).__mro__ if kind.__name__ == BASE), None)
    return base is None or any(getattr(type(module), name) is not getattr(base, name, None) for name in SINGLE_STEP)


def _is_reset(value: Tensor, cold: Any) -> bool:
    """Whether every element is what a reset would make it."""
    return cold is not None and bool((value == cold).all())
