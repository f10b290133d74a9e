from __future__ import annotations

import zipfile
from pathlib import Path

from tests.repository.release_check import problems_of, unreleased, with_addresses, with_project_addresses
from tests.support.places import ROOT

HERE = "https://example.org/astroedge"


def test_links_of_the_readme_become_addresses() -> None:
    """Relative links, with or without a place in the page, lead to the release; addresses and places stay."""
    text = "[a](docs/cuda.md#jetson) [b](https://x.org) [c](#here) [d](examples/char_lm)"
    release = f"{HERE}/blob/v1.0"
    folder = f"{HERE}/tree/v1.0/examples/char_lm"
    expected = f"[a]({release}/docs/cuda.md#jetson) [b](https://x.org) [c](#here) [d]({folder})"
    assert with_addresses(text, HERE, "1.0") == expected
    inner = with_addresses("[a](../../docs/zoo.md) [b](frame)", HERE, "1.0", "examples/zoo")
    assert inner == f"[a]({HERE}/blob/v1.0/docs/zoo.md) [b]({HERE}/tree/v1.0/examples/zoo/frame)"


def test_project_has_its_addresses_once() -> None:
    """The table of addresses keeps what it has and gains the repository's pages."""
    project = with_project_addresses((ROOT / "pyproject.toml").read_text("utf-8"), HERE, "1.0")
    assert project.count("[project.urls]") == 1
    assert f'Changelog = "{HERE}/blob/v1.0/CHANGELOG.md"' in project
    assert "Paper = " in project


def test_what_no_release_may_lack_is_named() -> None:
    """A changelog without the version's section and a citation of another version are each a problem."""
    assert [*unreleased("## [1.0] - 2026-01-31\n", "a\nversion: 1.0\n", "1.0")] == []
    assert len([*unreleased("## [Unreleased]\n", "a\nversion: 0.9\n", "1.0")]) == 2


def test_wheel_with_foreign_files_and_relative_links_is_refused(tmp_path: Path) -> None:
    """What an index would show broken, and what does not belong into a wheel, is named."""
    wheel = tmp_path / "astroedge-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("astroedge-1.0.dist-info/METADATA", "Version: 0.9\n\n[a](docs/a.md)\n")
        archive.writestr("astroedge/__init__.py", "")
        archive.writestr("tests/x.py", "")
    found = " ".join(problems_of(wheel, "1.0"))
    assert "version 0.9" in found
    assert "'docs/a.md'" in found
    assert "holds tests/x.py" in found
