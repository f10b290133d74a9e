"""docs/from-onnx.md, typed as it stands."""

from __future__ import annotations

import re
import shlex
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from astroedge.step.graph import StepGraph
from tests.support.command import Command
from tests.support.places import DOCS

PAGE = (DOCS / "from-onnx.md").read_text(encoding="utf-8")
SPEC = find_spec("silero_vad")


@pytest.mark.compiles
@pytest.mark.skipif(SPEC is None, reason="silero-vad is not installed")
def test_page_runs(astroedge_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python of the page makes a probability; its commands export the same graph, compile and verify it."""
    assert SPEC is not None
    assert SPEC.origin is not None
    monkeypatch.chdir(tmp_path)
    shutil.copy(Path(SPEC.origin).parent / "data" / "silero_vad_op18_ifless.onnx", tmp_path)
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "from-onnx.md", "exec"), names)
    probability = names["probability"]
    assert getattr(probability, "shape", None) == (1, 1)
    stored = [item.SerializeToString() for item in StepGraph.load("vad.onnx").model.graph.node]
    for line in re.findall(r"^    astroedge (.*)$", PAGE, re.MULTILINE):
        result = astroedge_command(*shlex.split(line))
        assert result.code == 0, result.err
    assert [item.SerializeToString() for item in StepGraph.load("vad.onnx").model.graph.node] == stored
