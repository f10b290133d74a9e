"""Pages name every key of a board file and every target."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields

from astroedge.targets.boards.board_file import Target, shipped_boards
from astroedge.targets.boards.target_page import table
from tests.support.places import DOCS, ROOT


def keys_described() -> dict[str, str]:
    """The keys in the page's table, each with what its row says."""
    page = (DOCS / "how-to-add" / "board-and-family.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]+`) \| (.*)$", page, re.MULTILINE)
    return {key: text for keys, text in rows for key in re.findall(r"`(\w+)`", keys)}


def test_page_has_every_key() -> None:
    """No key of a board file is left out, and none is there that no file may have."""
    assert list(keys_described()) == [field.name for field in fields(Target)]


def test_page_says_which_keys_may_be_left_out() -> None:
    """Those that have a default."""
    optional = [field.name for field in fields(Target) if field.default is not MISSING]
    assert [key for key, text in keys_described().items() if "may be left out" in text] == optional


def test_targets_page_shows_every_target() -> None:
    """docs/targets.md holds the table that the code prints."""
    page = (DOCS / "targets.md").read_text(encoding="utf-8")
    begin = "<!-- printed by python -m astroedge.targets.boards.target_page -->\n"
    assert page.partition(begin)[2].partition("<!-- until here -->")[0] == table()


def test_readme_names_every_target() -> None:
    """Names that share a beginning may stand as `-v3`."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Targets")[2].partition("\n## ")[0]
    named = re.findall(r"`([^`]+)`", section)
    short = {name for name in named if name.startswith("-")}
    assert [name for name in shipped_boards() if name not in named and f"-{name.rpartition('-')[2]}" not in short] == []
