"""Importing what a device need not have: one clear error instead of a ModuleNotFoundError deep inside a stage."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from threading import get_ident
from types import ModuleType

from astroedge.errors import MissingDependencyError
from astroedge.main_interpreter import refuse_subinterpreter

# The base dependencies, and the extras that packages come with where that is not `host`.
_BASE = {"numpy", "click", "rich", "psutil", "tomli"}
_EXTRAS = {"aedat": "events", "jinja2": "report", "markupsafe": "report", "tokenizers": "text", "vl_convert": "report"}
_ALONE = {"pandas"}  # no extra brings it: who wants it has it mostly

# TVM imports PyTorch where it is installed, which takes twice as long as TVM itself, to pass tensors on without a copy:
# compiling has none.
_UNNEEDED = {"tvm": "torch"}


def require(module_name: str, purpose: str) -> ModuleType:
    """Import a module that may need packages of an extra, and return it.

    `purpose` completes "… needs it", for example "exporting a model". The module that was asked for is returned,
    not its top-level package: `require("tvm.relax", …)` gives `tvm.relax`. A module of AstroEdge itself can be asked
    for too: what counts is which package is missing in the end.

    Raises MissingDependencyError when a package is not installed, and when it is installed but cannot be imported;
    AstroEdgeError, before anything is imported, where this is not the process's main interpreter.
    """
    refuse_subinterpreter()
    try:
        with _home_for_imports(), _without(_UNNEEDED.get(module_name.partition(".")[0])):
            return import_module(module_name)
    except ImportError as error:
        package = ((isinstance(error, ModuleNotFoundError) and error.name) or module_name).partition(".")[0]
        if package == "astroedge":
            raise
        missing = isinstance(error, ModuleNotFoundError)
        happened = "is not installed" if missing else f"is installed but cannot be imported ({error})"
        install = "astroedge" if package in _BASE else f'"astroedge[{_EXTRAS.get(package, "host")}]"'
        install = package if package in _ALONE else install
        raise MissingDependencyError(f"{package} {happened} and {purpose} needs it: pip install {install}") from error


@contextmanager
def _without(package: str | None) -> Iterator[None]:
    """What this thread imports does not find a package that nobody has imported yet; other threads find it as ever."""
    if package is None or package in sys.modules:
        yield
        return
    finder = _Hidden(package, get_ident())
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Hidden:
    """A finder for `sys.meta_path` that has one thread believe that a package is not installed."""

    def __init__(self, package: str, thread: int) -> None:
        self.package, self.thread = package, thread

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Raise ModuleNotFoundError for the package; every other name is left to the finders behind this one."""
        if name == self.package and get_ident() == self.thread:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def variables_for_imports() -> dict[str, str]:
    """What packages must find in the environment while they are imported and do not: HOME, for a user who has none.

    TVM asks where its cache would be, and raises where neither HOME nor the list of users says it. Nothing of ours uses
    that cache.
    """
    try:
        Path.home()
    except RuntimeError:
        return {"HOME": "/nonexistent"}  # Debian's home of those who have none
    return {}


@contextmanager
def _home_for_imports() -> Iterator[None]:
    added = variables_for_imports()
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
