"""SpikingJelly: single-step modules keep their state in a dict of memories, which `functional.reset_net` restores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
    """Multi-step mode, recording of every tick, foreign kernels, random weights, and a queue that is still to grow."""
    settings: dict[str, Any] = {name: getattr(module, name, None) for name in ("step_mode", "store_v_seq", "backend")}
    who = label(path, module)
    if not _has_single_step(module):
        raise ExportError(
            f"{who} has no single-step mode: it takes whole sequences, and a step is one tick; use what is inside it, "
            "or a module that has the mode."
        )
    if settings["step_mode"] == "m":
        raise ExportError(
            f"{who} is in multi-step mode, which takes whole sequences, and a step is one tick; call "
            "functional.set_step_mode(net, 's') before export."
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
    if derives_from(module, PACKAGE, "Delay"):
        _refuse_growing_queue(who, module)


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


def _refuse_growing_queue(who: str, module: Any) -> None:
    """A delay starts with an empty queue, which it fills in its first ticks."""
    if len(module.queue) < module.delay_steps:
        raise ExportError(
            f"{who} fills its queue in the first ticks, and a step's state has its size from the start; set its queue "
            f"= [torch.zeros(…)] * {module.delay_steps} in the shape of what it delays: until then it gives zeros."
        )


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
