from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.profiles import plain_profile


def test_profiles_become_one_page(astroedge_command: Command, tmp_path: Path) -> None:
    """Two files become one page, and the command says how large it is."""
    pytest.importorskip("vl_convert", reason="pages need astroedge[report]")
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(json.dumps(plain_profile(name) | {"samples": [], "spikes": []}))
    page = tmp_path / "both.html"
    result = astroedge_command("report", tmp_path / "a.json", tmp_path / "b.json", "-o", page)
    assert result.code == 0, result.err
    assert result.out.startswith(f"Wrote {page}: 2 profiles, ")
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_file_that_is_no_profile_is_one_line(astroedge_command: Command, tmp_path: Path) -> None:
    """What is no profile is refused in a line that names it, and no page is written."""
    (tmp_path / "net.json").write_text("{}")
    result = astroedge_command("report", tmp_path / "net.json", "-o", tmp_path / "page.html")
    assert result.failed_with(1), result
    assert "net.json: This is not an AstroEdge profile" in result.err
    assert not (tmp_path / "page.html").exists()


def test_missing_package_names_the_extra(
    astroedge_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the packages for pages are missing, the error names their extra, and a profile is not even begun."""
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    (tmp_path / "a.json").write_text(json.dumps(plain_profile()))
    for line in (("report", tmp_path / "a.json", "-o"), ("profile", tmp_path / "no.astro", "--html")):
        result = astroedge_command(*line, tmp_path / "page.html")
        assert 'pip install "astroedge[report]"' in result.err, result
