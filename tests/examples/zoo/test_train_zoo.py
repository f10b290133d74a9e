"""The command that trains networks: what it cannot do is one line."""

from __future__ import annotations

import sys

import pytest

from tests.support.zoo_modules import zoo_module


@pytest.mark.parametrize("missing", ["aeon", "sklearn"])
def test_a_package_that_is_not_installed_is_one_line(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the wheel that has the data there is no training, and how it is installed is said without a traceback."""
    name = {"aeon": "l2mu-har", "sklearn": "egru-digits"}[missing]
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    monkeypatch.setattr(sys, "argv", ["train_zoo.py", name, "--dry-run"])
    monkeypatch.setattr(sys, "path", list(sys.path))  # the command adds to it
    with zoo_module("train_zoo") as command:
        monkeypatch.setattr(sys.modules["frame.ts_files"], "PACKAGE", "aeon-that-nobody-installed")
        with pytest.raises(SystemExit) as stopped:
            command.main()
    printed = capsys.readouterr().err
    assert stopped.value.code == 1
    assert printed.count("\n") == 1
    assert missing in printed
    assert "pip install" in printed
