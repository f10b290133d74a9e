"""Frameworks: what is particular to each, one file a framework; the core treats all models alike.

A framework is recognised by the classes of the modules in a model. None is ever imported here: a model made of its
classes has imported it already. Each file has the same functions:

- `refuse(path, module)` raises ExportError for a setting that makes a module something else than one tick;
- `note(path, module)` says what a user should know about a module that is exported as it is, or nothing;
- `scratch(module)` names the attributes that a module writes in every tick and never reads;
- `make_static(module)` turns settings that are kept as tensors, which tracing cannot decide on, into Python values.

Imports nouns, `shared`, `step_call`, `state` and `nir`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import nn

from astroedge.exporters.frameworks import norse, snntorch, spikingjelly
from astroedge.exporters.state.locations import HiddenState

if TYPE_CHECKING:
    from astroedge.exporters.nir.nir_step import NirStep


class Framework(Protocol):
    """What each file of this folder offers."""

    def refuse(self, path: str, module: nn.Module) -> None:
        """Raise ExportError if `module` cannot be one tick as it is set."""

    def note(self, path: str, module: nn.Module) -> str | None:
        """What a user should know about `module`."""

    def scratch(self, module: nn.Module) -> frozenset[str]:
        """Attributes of `module` that are written and never read."""

    def make_static(self, module: nn.Module) -> None:
        """Make settings that are tensors Python values."""


FRAMEWORKS = {
    "norse": cast(Framework, norse),
    "snntorch": cast(Framework, snntorch),
    "spikingjelly": cast(Framework, spikingjelly),
}


def source_of(model: nn.Module) -> dict[str, str]:
    """Framework and version for the step's description; where it is not PyTorch itself, PyTorch's version too.

    A model of several frameworks names the first, in the order of its modules, and has the versions of all. The version
    of NIR is that in the file: the nir package's that wrote it.
    """
    steps = _nir_steps(model)
    versions = {"nir": steps[0].version} if steps else {}
    versions |= {name: _version(name) for name in dict.fromkeys(name for name, _, _ in _modules(model))}
    if not versions:
        return {"framework": "torch", "version": torch.__version__}
    (first, own), *others = versions.items()
    return {"framework": first, "version": own, **dict(others), "torch": torch.__version__}


def refuse(model: nn.Module) -> None:
    """Raise ExportError for the first module that is set to something that is not one tick."""
    for name, path, module in _modules(model):
        FRAMEWORKS[name].refuse(path, module)


def make_static(model: nn.Module) -> None:
    """Make `model` traceable where a framework decides in Python on settings that it keeps as tensors.

    This changes the model, in what a user cannot see from its results.
    """
    for name, _, module in _modules(model):
        FRAMEWORKS[name].make_static(module)


def notes(model: nn.Module) -> list[str]:
    """What to know about modules that are exported as they are."""
    found = [FRAMEWORKS[name].note(path, module) for name, path, module in _modules(model)]
    return [note for step in _nir_steps(model) for note in step.notes] + [note for note in found if note is not None]


def is_scratch(model: nn.Module, hidden: HiddenState) -> bool:
    """Whether every place of a hidden state is one that its module writes and never reads."""
    return all(
        (name := _framework(owner := model.get_submodule(location.module))) is not None
        and location.key in FRAMEWORKS[name].scratch(owner)
        for location in hidden.locations
    )


def readable(name: str) -> str:
    """A hidden state's name without the containers that frameworks put between a module and its state."""
    return name.replace(f".{spikingjelly.CONTAINER}.", ".").removeprefix(f"{spikingjelly.CONTAINER}.")


def _nir_steps(model: nn.Module) -> list[NirStep]:
    """The modules in `model` that stand for NIR files."""
    from astroedge.exporters.nir.nir_step import NirStep  # which imports names, and that this file

    return [module for module in model.modules() if isinstance(module, NirStep)]


def _modules(model: nn.Module) -> Iterator[tuple[str, str, nn.Module]]:
    """Framework, path and module for every module of a framework in `model`."""
    for path, module in model.named_modules():
        name = _framework(module)
        if name is not None:
            yield name, path, module


def _framework(module: nn.Module) -> str | None:
    """The framework that a module's class, or a class that it derives from, belongs to."""
    packages = (kind.__module__.partition(".")[0] for kind in type(module).__mro__)
    return next((package for package in packages if package in FRAMEWORKS), None)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return str(getattr(sys.modules.get(name), "__version__", "unknown"))
