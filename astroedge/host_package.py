"""Importing what a device need not have: one clear error instead of a ModuleNotFoundError deep inside a stage."""

from __future__ import annotations

from importlib import import_module
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
        return import_module(module_name)
    except ImportError as error:
        package = ((isinstance(error, ModuleNotFoundError) and error.name) or module_name).partition(".")[0]
        if package == "astroedge":
            raise
        missing = isinstance(error, ModuleNotFoundError)
        happened = "is not installed" if missing else f"is installed but cannot be imported ({error})"
        install = "astroedge" if package in _BASE else '"astroedge[host]"'
        raise MissingDependencyError(f"{package} {happened} and {purpose} needs it: pip install {install}") from error
