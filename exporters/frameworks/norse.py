"""Norse: cells take and return their state, and make it themselves when they are given none.

`state_fallback` of a cell makes it; where a cell has none of its own, its potential starts at the leak's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from astroedge.exporters.frameworks.protocol import Starts
from astroedge.exporters.shared.labels import derives_from, label
from astroedge.exporters.step_call.state_tree import leaves

PACKAGE = "norse"
CONTAINERS: tuple[str, ...] = ()
OVER_TIME = ("SNN", "SNNRecurrent")


def refuse(path: str, module: nn.Module) -> None:
    """Nothing: what Norse computes in one call is the same from call to call."""


def refuse_call(path: str, module: nn.Module, arguments: tuple[Any, ...]) -> None:
    """Nothing: what a call does follows from the settings."""


def note(path: str, module: nn.Module) -> str | None:
    """A layer that loops over the first dimension of its input."""
    if derives_from(module, PACKAGE, *OVER_TIME):
        return (
            f"{label(path, module)} takes the first dimension of its input as time, so one step of the graph is that "
            f"many ticks; use {type(module).__name__}Cell for one tick."
        )
    return None


def scratch(module: nn.Module) -> frozenset[str]:
    """Nothing: cells write no attributes."""
    return frozenset()


def make_static(module: nn.Module) -> None:
    """Nothing: parameters are used in arithmetic alone."""


def watch_start(module: nn.Module, starts: Starts) -> None:
    """A cell asks `state_fallback`, or starts at its leak; what a user derives from it may start anywhere."""
    if type(module).__module__.partition(".")[0] != PACKAGE:
        return
    made: dict[str, Tensor] = {}
    fallback: Callable[..., Any] | None = getattr(module, "state_fallback", None)
    leak = getattr(getattr(module, "p", None), "v_leak", None)

    def make(*arguments: Any) -> Any:
        state = fallback(*arguments) if fallback is not None else None
        made.update(_tensors(state))
        return state

    def compare(_: nn.Module, __: Any, result: Any) -> None:
        if not isinstance(result, tuple) or len(result) != 2:
            return
        for path, tensor in _tensors(result[1]).items():
            start = made.get(path)
            if start is None and path.rpartition(".")[2] == "v" and isinstance(leak, (Tensor, float)):
                start = torch.as_tensor(leak)
            if start is not None:
                starts[id(tensor)] = (tensor, start.detach().clone())

    if fallback is not None:
        module.state_fallback = make  # type: ignore[assignment]
    module.register_forward_hook(compare)


def _tensors(state: Any) -> dict[str, Tensor]:
    """The tensors in a state by their paths; none for what is no state."""
    try:
        return dict(leaves(state))
    except TypeError:
        return {}
