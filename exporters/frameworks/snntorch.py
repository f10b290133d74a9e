"""snnTorch: neurons keep their state in buffers, whether they return it or not."""

from __future__ import annotations

from functools import partial
from inspect import getclosurevars
from typing import Any

import torch
from torch import Tensor, nn

from astroedge.errors import ExportError
from astroedge.exporters.frameworks.protocol import Starts
from astroedge.exporters.shared.labels import derives_from, label

PACKAGE = "snntorch"
CONTAINERS: tuple[str, ...] = ()
STATES = ("spk", "syn", "syn_exc", "syn_inh", "mem")


def refuse(path: str, module: nn.Module) -> None:
    """An SLSTM with another width than its input's makes its state anew in every tick (snnTorch 1.0)."""
    if not derives_from(module, PACKAGE, "SLSTM"):
        return
    width, hidden = _attribute(module, "input_size"), _attribute(module, "hidden_size")
    if width != hidden and _forgets(module):
        raise ExportError(
            f"{label(path, module)} forgets its state in every tick: this snnTorch clears syn and mem whenever they "
            f"differ in shape from the input, and its input_size is {width}, its hidden_size {hidden}; put an "
            "nn.Linear in front and make them equal, or use nn.LSTMCell with snntorch.Leaky."
        )


def refuse_call(path: str, module: nn.Module, arguments: tuple[Any, ...]) -> None:
    """Nothing: what a call does follows from the settings."""


def note(path: str, module: nn.Module) -> str | None:
    """A neuron that has stepped since its last reset."""
    held = [vars(module).get(key, module._buffers.get(key)) for key in STATES]
    if any(isinstance(value, Tensor) and value.numel() and bool(value.any()) for value in held):
        return f"{label(path, module)} starts from what it holds now; call its reset_mem() first for a cold start."
    return None


def scratch(module: nn.Module) -> frozenset[str]:
    """The reset signal and the last spikes; all the neuron keeps if its state comes from and goes to the caller."""
    if derives_from(module, PACKAGE, "SpikingNeuron"):
        return frozenset({"reset", "spk"} if _attribute(module, "init_hidden") else {"reset", *STATES})
    return frozenset()


def make_static(module: nn.Module) -> None:
    """What decides in Python or writes by index in a tick: with the same results, what a step can hold.

    The reset mechanism is a number in a buffer, on which forward decides with `if` where the reset has no delay.
    """
    value = module._buffers.pop("reset_mechanism_val", None)
    if value is not None:
        vars(module)["reset_mechanism_val"] = int(value)
    if getattr(module, "inhibition", False) and hasattr(module, "fire_inhibition"):
        vars(module)["fire_inhibition"] = partial(_fire_largest, module)
    quantise = vars(module).get("state_quant")
    if callable(quantise) and quantise.__module__ == "snntorch.functional.quant":
        levels = getclosurevars(quantise).nonlocals["levels"]
        vars(module)["state_quant"] = partial(_nearest, levels)


def watch_start(module: nn.Module, starts: Starts) -> None:
    """Nothing: a neuron that returns its state also keeps it."""


def _fire_largest(module: Any, batch: int, mem: Tensor) -> Tensor:
    """Spikes of the largest membrane alone, the first of equals."""
    shift = mem - module.threshold
    largest = torch.arange(mem.shape[1]) == torch.argmax(shift, dim=1, keepdim=True)
    spikes: Tensor = module.spike_grad(shift) * largest.to(mem.dtype)
    return spikes


def _nearest(levels: Tensor, value: Tensor) -> Tensor:
    """Every element as the nearest level, the first of two as near."""
    return levels[torch.argmin(torch.abs(levels - value.unsqueeze(-1)), dim=-1)]


def _forgets(module: nn.Module) -> bool:
    """Whether a cell answers one input in the same way when it has just seen it."""
    held = {key: module._buffers[key] for key in ("syn", "mem")}
    written = {key: value for key, value in vars(module).items() if key in ("reset", "spk")}
    width = int(_attribute(module, "input_size"))
    x = torch.linspace(-1.0, 1.0, width, device=next(module.parameters()).device).reshape(1, width)
    try:
        with torch.no_grad():
            module(x)
            first = module._buffers["syn"]
            module(x)
            second = module._buffers["syn"]
    finally:
        module._buffers.update(held)
        for key in ("reset", "spk"):
            vars(module).pop(key, None)
        vars(module).update(written)
    return first is not None and second is not None and torch.equal(first, second)


def _attribute(module: nn.Module, name: str) -> Any:
    return getattr(module, name)
