"""Frameworks: what is particular to each, one file a framework; the core treats all models alike and names none.

A framework is recognised by the classes of the modules in a model. None is ever imported here: a model made of its
classes has imported it already. Each file offers what `protocol.py` says. Imports nouns, `shared`, `step_call` and
`state`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import nn

from astroedge.exporters.frameworks import norse, sinabs, snntorch, spikingjelly
from astroedge.exporters.frameworks.protocol import Framework, Starts
from astroedge.exporters.shared.file_module import FileModule
from astroedge.exporters.state.locations import HiddenState

FRAMEWORKS: dict[str, Framework] = {
    norse.PACKAGE: norse,
    sinabs.PACKAGE: sinabs,
    snntorch.PACKAGE: snntorch,
    spikingjelly.PACKAGE: spikingjelly,
}


def source_of(model: nn.Module) -> dict[str, str]:
    """Framework and version for the step's description; where it is not PyTorch itself, PyTorch's version too.

    A model of several frameworks names the first, in the order of its modules, and has the versions of all. What was
    read from a file comes before them, with the version that wrote the file.
    """
    versions: dict[str, str] = {}
    for module in _file_modules(model):
        versions.setdefault(module.framework, module.version)
    versions |= {name: _version(name) for name in dict.fromkeys(name for name, _, _ in _modules(model))}
    if not versions:
        return {"framework": "torch", "version": torch.__version__}
    (first, own), *others = versions.items()
    return {"framework": first, "version": own, **dict(others), "torch": torch.__version__}


def refuse(model: nn.Module) -> None:
    """Raise ExportError for the first module that is set to something that is not one tick."""
    for name, path, module in _modules(model):
        FRAMEWORKS[name].refuse(path, module)


@contextmanager
def checking_calls(model: nn.Module) -> Iterator[None]:
    """Raise ExportError inside for the first module of a framework whose first call is not one tick."""
    called: set[str] = set()

    def check(name: str, path: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def before(module: nn.Module, arguments: tuple[Any, ...]) -> None:
            if path not in called:
                called.add(path)
                FRAMEWORKS[name].refuse_call(path, module, arguments)

        return before

    handles = [module.register_forward_pre_hook(check(name, path)) for name, path, module in _modules(model)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def make_static(model: nn.Module) -> None:
    """Make `model` traceable where a framework decides in Python on settings that it keeps as tensors.

    This changes the model, in what a user cannot see from its results.
    """
    for name, _, module in _modules(model):
        FRAMEWORKS[name].make_static(module)


def notes(model: nn.Module) -> list[str]:
    """What to know about modules that are exported as they are."""
    found = [note for module in _file_modules(model) for note in module.notes]
    own = (FRAMEWORKS[name].note(path, module) for name, path, module in _modules(model))
    return found + [note for note in own if note is not None]


def is_scratch(model: nn.Module, hidden: HiddenState) -> bool:
    """Whether every place of a hidden state is one that its module writes and never reads."""
    return all(
        (name := _framework(owner := model.get_submodule(location.module))) is not None
        and location.key in FRAMEWORKS[name].scratch(owner)
        for location in hidden.locations
    )


def watch_starts(model: nn.Module) -> Starts:
    """What the modules of `model`, a copy that is thrown away, will note while it runs: where their states start."""
    starts: Starts = {}
    for name, _, module in _modules(model):
        FRAMEWORKS[name].watch_start(module, starts)
    return starts


def readable(name: str) -> str:
    """A hidden state's name without the containers that frameworks put between a module and its state."""
    for container in (part for framework in FRAMEWORKS.values() for part in framework.CONTAINERS):
        name = name.replace(f".{container}.", ".").removeprefix(f"{container}.")
    return name


def _file_modules(model: nn.Module) -> list[FileModule]:
    """The modules in `model` that stand for files."""
    return [module for module in model.modules() if isinstance(module, FileModule)]


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
