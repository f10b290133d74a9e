"""Importing what a device need not have: one clear error instead of a ModuleNotFoundError deep inside a stage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType

from astroedge.errors import MissingDependencyError
from astroedge.main_interpreter import refuse_subinterpreter

# The base dependencies; every other package comes with the `host` extra.
_BASE = {"numpy", "click", "rich", "psutil", "tomli"}


def require(module_name: str, purpose: str) -> ModuleType:
    """Import a module that may need packages of the `host` extra, and return it.

    `purpose` completes "… needs it", for example "exporting a model". The module that was asked for is returned,
    not its top-level package: `require("tvm.relax", …)` gives `tvm.relax`. A module of AstroEdge itself can be asked
    for too: what counts is which package is missing in the end.

    Raises MissingDependencyError when a package is not installed, and when it is installed but cannot be imported;
    AstroEdgeError, before anything is imported, where this is not the process's main interpreter.
    """
    refuse_subinterpreter()
    try:
        with _home_for_imports():
            return import_module(module_name)
    except ImportError as error:
        package = ((isinstance(error, ModuleNotFoundError) and error.name) or module_name).partition(".")[0]
        if package == "astroedge":
            raise
        missing = isinstance(error, ModuleNotFoundError)
        happened = "is not installed" if missing else f"is installed but cannot be imported ({error})"
        install = "astroedge" if package in _BASE else '"astroedge[host]"'
        raise MissingDependencyError(f"{package} {happened} and {purpose} needs it: pip install {install}") from error


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
