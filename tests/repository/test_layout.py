"""The shape of the repository: links to the stages, and one name for every module."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import ROOT
from tests.support.source_tree import STAGES, imported_modules, python_files


@pytest.mark.parametrize("stage", STAGES)
def test_link_leads_to_the_stage_folder(stage: str) -> None:
    """Inside the package each stage is a relative link to the folder at the top."""
    link = ROOT / "astroedge" / stage
    assert link.is_symlink()
    assert link.readlink() == Path("..") / stage
    assert link.resolve() == ROOT / stage


def test_nothing_imports_a_stage_by_its_bare_name() -> None:
    """No file anywhere imports `exporters`, `runtimes` or `targets` as top-level modules."""
    files = python_files("astroedge", *STAGES, "tests", "examples", "benchmarks")
    bare = {path.name for path in files for name in imported_modules(path) if name.split(".")[0] in STAGES}
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
