"""The page on boards and families describes every key of a board file."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields

from astroedge.targets.boards.board_file import Target
from tests.support.places import DOCS


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
