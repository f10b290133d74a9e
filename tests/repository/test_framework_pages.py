"""The page of each framework runs as it stands, from the model to the first step of its bundle."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.places import DOCS


@pytest.mark.compiles
@pytest.mark.parametrize(
    ("page", "package"),
    [
        ("from-pytorch.md", "torch"),
        ("from-torch-ao.md", "torch"),
        pytest.param("from-snntorch.md", "snntorch", marks=pytest.mark.frameworks),
        pytest.param("from-spikingjelly.md", "spikingjelly", marks=pytest.mark.frameworks),
        pytest.param("from-norse.md", "norse", marks=pytest.mark.frameworks),
        pytest.param("from-sinabs.md", "sinabs", marks=pytest.mark.frameworks),
    ],
)
def test_page_runs(
    page: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All code of the page, one block after the other, leads to a session that steps and prints what comments say."""
    pytest.importorskip(package, reason=f"{package} is not installed")
    monkeypatch.chdir(tmp_path)
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    names: dict[str, Any] = {"__name__": page}
    for block in blocks:
        exec(compile(block, page, "exec"), names)
    assert (tmp_path / "net-bundle").is_dir()
    assert names["outputs"]
    printed = capsys.readouterr().out
    for names_in_comment in re.findall(r"# (\['[^]]*'\])", text):
        assert names_in_comment in printed
