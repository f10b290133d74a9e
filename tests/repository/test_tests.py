"""The house of the tests: where they stand, what they borrow, and which of them look at how instead of what."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import TypeGuard

from tests.support.places import ROOT

TESTS = ROOT / "tests"
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(TESTS.rglob("*.py"))}


def imported_modules(tree: ast.Module) -> Iterator[str]:
    """What a file imports, with the names taken from each module, which can be modules too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def definitions_of_tests(tree: ast.Module) -> set[str]:
    """The functions and classes of a file that pytest would take for tests."""
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return {name for name in defined if name.startswith(("test", "Test"))}


def test_no_test_file_is_imported() -> None:
    """What two test files need is in tests/support, so that a test file can be changed with its own tests in mind."""
    borrowed = {
        (str(path.relative_to(TESTS)), name)
        for path, tree in TREES.items()
        for name in imported_modules(tree)
        if name.startswith("tests.") and any(part.startswith("test_") for part in name.split(".")[1:])
    }
    assert borrowed == set()


def test_tests_stand_in_test_files_alone() -> None:
    """A test elsewhere, in tests/support for one, would never run."""
    others = {path: definitions_of_tests(tree) for path, tree in TREES.items() if not path.name.startswith("test_")}
    assert {str(path.relative_to(TESTS)): names for path, names in others.items() if names} == {}


def test_tests_of_how_something_is_done_say_why() -> None:
    """What looks at assembly is marked `guard`, and every guard has its reason: what is computed is the better test."""
    tests = [node for tree in TREES.values() for node in tree.body if _is_test(node)]
    guards = {node.name for node in tests if "pytest.mark.guard" in map(ast.unparse, node.decorator_list)}
    assert guards
    assert {node.name for node in tests if re.search(r"assembly\(|inspect_source\(", ast.unparse(node))} <= guards
    assert {node.name for node in tests if "A guard: " in (ast.get_docstring(node) or "")} == guards


def _is_test(node: ast.AST) -> TypeGuard[ast.FunctionDef]:
    return isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
