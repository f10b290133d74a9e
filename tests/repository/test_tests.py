"""Where tests stand: in files named for them, which borrow from tests/support and never of each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support.places import ROOT

TESTS = ROOT / "tests"
FILES = sorted(TESTS.rglob("*.py"))


def imported_modules(path: Path) -> Iterator[str]:
    """What a file imports, with the names taken from each module, which can be modules too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def tests_in(path: Path) -> set[str]:
    """The functions and classes of a file that pytest would take for tests."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    defined = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    return {name for name in defined if name.startswith(("test", "Test"))}


def test_no_test_file_is_imported() -> None:
    """What two test files need is in tests/support, so that a test file can be changed with its own tests in mind."""
    borrowed = {
        (str(path.relative_to(TESTS)), name)
        for path in FILES
        for name in imported_modules(path)
        if name.startswith("tests.") and any(part.startswith("test_") for part in name.split(".")[1:])
    }
    assert borrowed == set()


def test_tests_stand_in_test_files_alone() -> None:
    """A test elsewhere, in tests/support for one, would never run."""
    hidden = {str(path.relative_to(TESTS)): tests_in(path) for path in FILES if not path.name.startswith("test_")}
    assert {path: names for path, names in hidden.items() if names} == {}
