from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from astroedge.errors import MissingDependencyError
from astroedge.host_package import require
from tests.support.interpreters import packages_loaded_by


def test_module_that_was_asked_for_is_returned() -> None:
    """A dotted name gives the sub-module, not its top-level package."""
    assert require("xml.dom.minidom", "reading XML") is sys.modules["xml.dom.minidom"]


def test_missing_package_is_named_with_its_cure() -> None:
    """The error names the package, what needs it and the extra that brings it."""
    with pytest.raises(MissingDependencyError, match=r"no_such_package is not installed and compiling a step needs it"):
        require("no_such_package.part", "compiling a step")
    with pytest.raises(MissingDependencyError, match=r'pip install "astroedge\[host\]"$'):
        require("no_such_package", "compiling a step")


def test_each_package_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What pages need comes with an extra of its own."""
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "astroedge\[report\]"$'):
        require("vl_convert", "writing a page")


def test_package_missing_further_down_is_the_one_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a module that exists imports one that does not, the second is named."""
    (tmp_path / "asks_for_more.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingDependencyError, match=r"^no_such_package is not installed"):
        require("asks_for_more", "exporting a model")


def test_broken_package_is_not_called_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is there but fails to import is reported with its own reason."""
    (tmp_path / "broken_package.py").write_text("raise ImportError('libfoo: cannot open')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingDependencyError, match=r"is installed but cannot be imported \(libfoo: cannot open\)"):
        require("broken_package", "exporting a model")


def test_a_user_without_a_home_can_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that asks for the home when it is imported gets one, and nothing of that stays in the environment."""
    (tmp_path / "asks_for_home.py").write_text("from pathlib import Path\nHOME = Path.home()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)  # of nobody in the list of users
    assert not require("asks_for_home", "compiling a step").HOME.exists()
    assert "HOME" not in os.environ


def test_missing_module_of_astroedge_is_a_plain_import_error() -> None:
    """A module of the package itself that is not there is a bug, not a missing extra."""
    with pytest.raises(ModuleNotFoundError):
        require("astroedge.no_such_module", "anything")


def test_compiler_does_not_load_the_framework() -> None:
    """TVM comes without the PyTorch that it would import."""
    loaded = packages_loaded_by('from astroedge.host_package import require\nrequire("tvm", "compiling a step")\n')
    assert "tvm" in loaded
    assert "torch" not in loaded


def test_package_is_hidden_from_the_importing_thread_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread imports PyTorch while TVM is imported without it, and so does anyone afterwards."""
    (tmp_path / "torch.py").write_text("")
    (tmp_path / "tvm.py").write_text(
        "import importlib, threading\n"
        "found = []\n"
        "def look():\n"
        "    try:\n"
        "        found.append(importlib.import_module('torch').__name__)\n"
        "    except ImportError:\n"
        "        found.append(None)\n"
        "look()\n"
        "other = threading.Thread(target=look)\n"
        "other.start()\n"
        "other.join()\n"
    )
    for name in ("torch", "tvm"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert require("tvm", "compiling a step").found == [None, "torch"]
        sys.modules.pop("torch")
        require("torch", "exporting a model")
    finally:
        for name in ("torch", "tvm"):
            sys.modules.pop(name, None)
