"""The pages: what they link to and the files they name are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.places import ROOT

PAGES = sorted(path for folder in (ROOT, ROOT / "benchmarks") for path in folder.glob("*.md")) + sorted(
    (ROOT / "docs").rglob("*.md")
)
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
# A file of the repository by its path, in backticks; `NAME` and `*` stand for any.
FILE = re.compile(r"`((?:astroedge|exporters|targets|runtimes|tests|benchmarks|docs|examples)/[\w./{},*-]+)`")


def named(page: Path) -> list[str]:
    """The files that a page names, alternatives in braces written out."""
    found = []
    for path in FILE.findall(page.read_text(encoding="utf-8")):
        before, brace, rest = path.partition("{")
        choices, _, after = rest.partition("}")
        found += [f"{before}{choice}{after}" for choice in choices.split(",")] if brace else [path]
    return [path for path in found if "NAME" not in path]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_is_there(page: Path) -> None:
    """No link of a page leads to nothing."""
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: page.name)
def test_files_a_page_names_are_there(page: Path) -> None:
    """A path of the repository in a page is the path of something."""
    assert [path for path in named(page) if not list(ROOT.glob(path))] == []


def test_files_of_the_walks_are_there() -> None:
    """Each walk of the architecture names files from the root or from the folder that its heading gives."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    walks = re.split(r"^## ", text, flags=re.MULTILINE)
    named_files = [
        (folder[1] if (folder := re.search(r"\(`(\w+)/`\)", walk.splitlines()[0])) else "", path)
        for walk in walks
        if walk.startswith("Walk")
        for path in re.findall(r"`([\w./-]+\.(?:py|c|h))`", walk)
        if "/" in path
    ]
    assert len(named_files) > 50
    assert [
        item for item in named_files if not (ROOT / item[0] / item[1]).exists() and not (ROOT / item[1]).exists()
    ] == []


def test_every_page_is_in_the_index() -> None:
    """The index of the documentation leads to every page, directly or through the index of its folder."""
    docs = ROOT / "docs"
    reached = {docs / "README.md"}
    waiting = [docs / "README.md"]
    while waiting:
        page = waiting.pop()
        for link in LINK.findall(page.read_text(encoding="utf-8")):
            target = (page.parent / link).resolve()
            target = target / "README.md" if target.is_dir() else target
            if target.suffix == ".md" and docs in target.parents and target.exists() and target not in reached:
                reached.add(target)
                waiting.append(target)
    assert sorted(str(path.relative_to(docs)) for path in set(docs.rglob("*.md")) - reached) == []
