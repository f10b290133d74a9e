"""Models from factories in files."""

from __future__ import annotations

import importlib
import pickle
import sys
from pathlib import Path

import pytest

from astroedge.errors import ExportError
from astroedge.workflows.inputs.model_source import load_model

PROFILE = """
from __future__ import annotations
from dataclasses import dataclass
from torch import nn
from sibling import WIDTH

@dataclass
class Setting:
    width: int = WIDTH

class Net(nn.Linear):
    def __init__(self):
        super().__init__(Setting().width, 2)

def make():
    return Net()
"""


def test_file_may_be_named_like_a_module_of_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`profile.py` does not take the place of Python's profile; dataclasses, siblings and pickle work in it."""
    monkeypatch.delitem(sys.modules, "profile", raising=False)
    (tmp_path / "sibling.py").write_text("WIDTH = 3\n", encoding="utf-8")
    path = tmp_path / "profile.py"
    path.write_text(PROFILE, encoding="utf-8")
    model = load_model(f"{path}:make").model
    assert hasattr(importlib.import_module("profile"), "run")
    assert pickle.loads(pickle.dumps(model)).in_features == 3


@pytest.mark.parametrize(
    "text", ["import sys\nsys.exit(3)\n", "def make():\n    raise SystemExit(3)\n"], ids=["file", "factory"]
)
def test_exit_is_an_error(tmp_path: Path, text: str) -> None:
    """A file or a factory that exits is one line with the place and the code, not a silent end."""
    path = tmp_path / "script.py"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ExportError, match=r"exits at script\.py:2 \(code 3\) instead of giving a model.*__main__"):
        load_model(f"{path}:make")
