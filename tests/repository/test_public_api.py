"""The public names, checked mechanically."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import astroedge
from astroedge import errors

DEFINED_IN = astroedge._DEFINED_IN
SUBMODULES = {found.name for found in pkgutil.iter_modules(astroedge.__path__)} | {
    path.name for path in Path(astroedge.__path__[0]).iterdir() if path.is_dir()
}
ERRORS = [item for item in vars(errors).values() if inspect.isclass(item)]


def test_all_lists_exactly_the_public_names() -> None:
    """`__all__`, `dir()` and the table of lazy names agree."""
    assert set(astroedge.__all__) == set(DEFINED_IN) | {"errors", "__version__"}
    assert len(astroedge.__all__) == len(set(astroedge.__all__))
    assert dir(astroedge) == sorted(astroedge.__all__)


@pytest.mark.parametrize("name", sorted(DEFINED_IN))
def test_public_name_is_what_its_module_defines(name: str) -> None:
    """Every public name resolves to the documented object of that very name."""
    value = getattr(astroedge, name)
    assert value is getattr(importlib.import_module(DEFINED_IN[name]), name)
    assert value.__name__ == name
    assert inspect.getdoc(value)


@pytest.mark.parametrize("name", sorted(DEFINED_IN))
def test_public_name_annotates_every_argument(name: str) -> None:
    """What users call says what it takes and gives, methods included."""
    value = getattr(astroedge, name)
    methods = vars(value).values() if inspect.isclass(value) else [value]
    called = [method for method in methods if inspect.isfunction(method) and not method.__name__.startswith("_")]
    for signature in map(inspect.signature, called):
        given = [item.annotation for item in signature.parameters.values() if item.name not in ("self", "cls")]
        assert inspect.Signature.empty not in (*given, signature.return_annotation)


def test_no_public_name_is_a_submodule() -> None:
    """Importing a sub-module can never replace a public function or class."""
    assert set(DEFINED_IN) & SUBMODULES == set()
    assert "runtimes" in SUBMODULES


def test_submodule_of_the_same_stem_does_not_replace_a_function() -> None:
    """`import astroedge.runtimes.checking.verify` leaves `astroedge.verify` the function it was."""
    before = astroedge.verify
    importlib.import_module("astroedge.runtimes.checking.verify")
    assert astroedge.verify is before


def test_type_checkers_see_what_the_interpreter_sees() -> None:
    """The TYPE_CHECKING imports are the table of lazy names."""
    tree = ast.parse(Path(astroedge.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.asname: node.module for node in imports for alias in node.names}
    assert seen == DEFINED_IN | {"errors": "astroedge"}


def test_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name fails as on any module."""
    with pytest.raises(AttributeError, match="no attribute 'exprot'"):
        _ = astroedge.exprot


def test_errors_have_codes_of_their_own() -> None:
    """Every error derives from the base class and exits with a code that no other has, 1 to 125."""
    codes = [item.exit_code for item in ERRORS]
    assert all(issubclass(item, errors.AstroEdgeError) for item in ERRORS)
    assert len(codes) == len(set(codes))
    assert all(1 <= code <= 125 for code in codes)


def test_error_tree_in_the_docstring_is_the_real_one() -> None:
    """The drawing at the top of errors.py names every class with its code and its parent."""
    drawn: dict[str, tuple[int, str]] = {}
    above: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"    ([│├└─ ]*)(\w+Error) +(?:exit code )?(\d+)", line):
            depth = len(match[1])
            drawn[match[2]] = (int(match[3]), above.get(depth - 4, "Exception"))
            above[depth] = match[2]
    assert drawn == {item.__name__: (item.exit_code, item.__bases__[0].__name__) for item in ERRORS}
