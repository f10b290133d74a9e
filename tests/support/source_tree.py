"""The repository's Python files as modules, and what each imports, wherever in the file it does so."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import astroedge
from tests.support.places import ROOT

STAGES = ("exporters", "runtimes", "targets")


def python_files(*folders: str) -> list[Path]:
    """Every Python file below some folders of the repository, links not followed."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py") if not path.is_symlink())


@cache
def modules() -> dict[str, Path]:
    """The modules of package, benchmarks and examples by their full names; a package by that of its `__init__`."""
    return {_module(path): path for path in python_files("astroedge", *STAGES, "benchmarks", "examples")}


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    package = ("astroedge", *parts) if parts[0] in STAGES else parts
    return ".".join(package).removesuffix(".__init__")


@cache
def imported_modules(path: Path) -> tuple[str, ...]:
    """The modules that a file imports: late ones, those for types alone and those given as texts included.

    A public name of `astroedge` counts as the module that defines it. The number of the release counts as nothing:
    whoever is imported has `astroedge` imported before.
    """
    return tuple(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide which stage is meant"
            yield from filter(None, (_origin(str(node.module), alias.name) for alias in node.names))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value:
            yield from {node.value} & modules().keys()


def _origin(module: str, name: str) -> str | None:
    """The module that `from module import name` imports; None for the number of the release."""
    if f"{module}.{name}" in modules():
        return f"{module}.{name}"
    if module == "astroedge":
        return None if name == "__version__" else astroedge._DEFINED_IN.get(name, module)
    return module
