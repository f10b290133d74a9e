"""The shape of the repository: links, stages that keep apart, one name for every module."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import astroedge
from tests.support.places import ROOT

STAGES = ("exporters", "runtimes", "targets")
STAGE_NAME = re.compile(rf"astroedge\.({'|'.join(STAGES)})(\.\w+)*")


def python_files(*folders: str) -> list[Path]:
    """Every Python file below some folders of the repository, links not followed."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py") if not path.is_symlink())


def imported_names(path: Path) -> Iterator[str]:
    """The full names a file imports, those in TYPE_CHECKING blocks and those given as texts included."""
    public = astroedge._DEFINED_IN
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide which stage is meant"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            if node.module == "astroedge":
                yield from (public[alias.name] for alias in node.names if alias.name in public)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and STAGE_NAME.fullmatch(node.value):
            yield node.value


def stages_used(path: Path) -> set[str]:
    """The stages a file imports from."""
    return {match[1] for name in imported_names(path) if (match := STAGE_NAME.match(name))}


@pytest.mark.parametrize("stage", STAGES)
def test_link_leads_to_the_stage_folder(stage: str) -> None:
    """Inside the package each stage is a relative link to the folder at the top."""
    link = ROOT / "astroedge" / stage
    assert link.is_symlink()
    assert link.readlink() == Path("..") / stage
    assert link.resolve() == ROOT / stage


@pytest.mark.parametrize("stage", STAGES)
def test_stage_does_not_import_another_stage(stage: str) -> None:
    """A stage imports the nouns of astroedge and itself, never another stage."""
    files = python_files(stage)
    assert files
    assert {path.name: used for path in files if (used := stages_used(path) - {stage})} == {}


def test_only_workflows_join_stages() -> None:
    """Of the package's own files only the lazy public names and the workflows import stages."""
    files = [path for path in (ROOT / "astroedge").rglob("*.py") if path.relative_to(ROOT).parts[1] not in STAGES]
    joining = {path.relative_to(ROOT) for path in files if stages_used(path)}
    assert {path for path in joining if path.parts[1] not in ("__init__.py", "workflows")} == set()


def test_nothing_imports_a_stage_by_its_bare_name() -> None:
    """No file anywhere imports `exporters`, `runtimes` or `targets` as top-level modules."""
    files = python_files("astroedge", *STAGES, "tests", "examples", "benchmarks")
    bare = {path.name for path in files for name in imported_names(path) if name.split(".")[0] in STAGES}
    assert bare == set()


def test_no_module_loads_twice() -> None:
    """With everything imported, no file is loaded under two names, although two paths lead to every stage."""
    script = """
import importlib, json, os, pkgutil, sys
import astroedge

def fail(name):
    raise
for found in pkgutil.walk_packages(astroedge.__path__, "astroedge.", onerror=fail):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
names = {}
for name, module in list(sys.modules.items()):
    path = getattr(module, "__file__", None)
    if path and os.path.realpath(path).startswith(os.getcwd() + os.sep) and ".venv" not in path:
        names.setdefault(os.path.realpath(path), []).append(name)
json.dump(names, sys.stdout)
"""
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    names = json.loads(result.stdout)
    stage_files = {str(path) for path in python_files(*STAGES)}
    assert {path: found for path, found in names.items() if len(found) > 1} == {}
    assert stage_files <= set(names)
