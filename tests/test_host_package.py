from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from astroedge.errors import MissingDependencyError
from astroedge.host_package import require


def test_module_that_was_asked_for_is_returned() -> None:
    """A dotted name gives the sub-module, not its top-level package."""
    assert require("xml.dom.minidom", "reading XML") is sys.modules["xml.dom.minidom"]


def test_missing_package_is_named_with_its_cure() -> None:
    """The error names the package, what needs it and the extra that brings it."""
    with pytest.raises(MissingDependencyError, match=r"no_such_package is not installed and compiling a step needs it"):
        require("no_such_package.part", "compiling a step")
    with pytest.raises(MissingDependencyError, match=r'pip install "astroedge\[host\]"$'):
        require("no_such_package", "compiling a step")


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
