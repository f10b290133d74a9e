"""Every framework is whole: its file, its place in the dict and in the list of libraries, its tests and its page."""

from __future__ import annotations

import pytest

from astroedge.exporters.frameworks import FRAMEWORKS
from astroedge.exporters.frameworks.protocol import Framework
from astroedge.exporters.shared import library_code
from tests.support.places import DOCS, ROOT

FOLDER = ROOT / "exporters" / "frameworks"
FILES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("__init__", "protocol"))


def test_every_file_is_a_framework_that_the_exporters_know() -> None:
    """A file of the folder is in the dict under the name of its package, and that is known to be a library's."""
    assert sorted(FRAMEWORKS) == FILES
    assert {package: framework.PACKAGE for package, framework in FRAMEWORKS.items()} == {name: name for name in FILES}
    assert sorted(library_code.FRAMEWORKS) == FILES


@pytest.mark.parametrize("package", FILES)
def test_framework_offers_all_that_the_protocol_says(package: str) -> None:
    """No file leaves out a function or a name, so that the core need not ask."""
    offered = vars(FRAMEWORKS[package])
    functions = [name for name in vars(Framework) if not name.startswith("_")]
    assert [name for name in (*Framework.__annotations__, *functions) if name not in offered] == []


@pytest.mark.parametrize("package", FILES)
def test_framework_has_tests_and_a_page(package: str) -> None:
    """What a framework's models need is tested beside this file, and told to its users."""
    assert (ROOT / "tests" / "exporters" / "frameworks" / f"test_{package}.py").is_file()
    page = f"from-{package}.md"
    assert (DOCS / page).is_file()
    assert page in (ROOT / "tests" / "repository" / "test_framework_pages.py").read_text(encoding="utf-8")
