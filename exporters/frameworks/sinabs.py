"""sinabs: layers keep their state in buffers and loop over the ticks in their input.

A layer takes `(batch, ticks, …)`, its Squeeze form `(batch · ticks, …)`; with one tick, a call is a step.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from astroedge.errors import ExportError
from astroedge.exporters.frameworks.protocol import Starts
from astroedge.exporters.shared.labels import derives_from, label

PACKAGE = "sinabs"
CONTAINERS: tuple[str, ...] = ()
RECURRENT = ("LIFRecurrent", "ALIFRecurrent", "IAFRecurrent")
WRITTEN = frozenset({"firing_rate", "recordings", "spike_threshold", "activity"})


def refuse(path: str, module: nn.Module) -> None:
    """A recurrent layer: what its spikes feed back begins at zero in every call."""
    if derives_from(module, PACKAGE, *RECURRENT):
        raise ExportError(
            f"{label(path, module)} forgets its last spikes between calls, so tick by tick it is without its recurrent "
            "connection; keep the spikes in a buffer and add rec_connect(spikes) to the input of a plain "
            f"{type(module).__name__.removesuffix('Recurrent')}."
        )


def refuse_call(path: str, module: nn.Module, arguments: tuple[Any, ...]) -> None:
    """Nothing: a call of several ticks carries its state like one, and one step of the graph is that many then."""


def note(path: str, module: nn.Module) -> str | None:
    """A layer that has stepped since its last reset."""
    if derives_from(module, PACKAGE, "StatefulLayer") and any(
        buffer.numel() and bool(buffer.any()) for buffer in module.buffers(recurse=False)
    ):
        return f"{label(path, module)} starts from what it holds now; call its reset_states() first for a cold start."
    return None


def scratch(module: nn.Module) -> frozenset[str]:
    """What a layer writes for its user to look at."""
    held = {name for name in WRITTEN if not isinstance(getattr(module, name, None), nn.Parameter)}
    return frozenset(held)


def make_static(module: nn.Module) -> None:
    """Nothing: layers decide on shapes alone."""


def watch_start(module: nn.Module, starts: Starts) -> None:
    """Nothing: layers keep their state and never return it."""
