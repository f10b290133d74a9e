"""Importing what only the host has: one clear error instead of a ModuleNotFoundError deep inside a stage."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from astroedge.errors import MissingDependencyError


def require(module_name: str, purpose: str) -> ModuleType:
    """Import a package of the `host` extra and return it.

    `purpose` completes "… needs PACKAGE", for example "exporting a model". The module that was asked for is returned,
    not its top-level package: `require("tvm.relax", …)` gives `tvm.relax`.

    Raises MissingDependencyError when the package is not installed, and when it is installed but cannot be imported.
    """
    try:
        return import_module(module_name)
    except ImportError as error:
        package = module_name.partition(".")[0]
        missing = isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == package
        happened = "is not installed" if missing else f"is installed but cannot be imported ({error})"
        raise MissingDependencyError(
            f'{purpose[:1].upper()}{purpose[1:]} needs {package}, which {happened}: pip install "astroedge[host]"'
        ) from error
