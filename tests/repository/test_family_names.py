"""What depends on a processor family is asked of its object, so that another family touches one folder."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from astroedge.targets.families import ARCHITECTURES, FAMILIES
from tests.support.places import ROOT

ROOM = ROOT / "targets" / "families"
# Rooms of one family alone, to which what asks the families leads; its names are their subject.
OWN_ROOMS = (
    *(ROOT / "targets" / name / "cuda" for name in (".", "kernels", "compiler")),
    ROOT / "targets" / "boards" / "gpus.py",
)
# The loader checks a processor where nothing of the compiler is installed, and knows other architectures only by name;
# the binary interface has the names of what else computes a tick; help is shown before anything of targets is imported.
APART = {
    ROOT / "runtimes" / "library" / "processor.py",
    ROOT / "astroedge" / "abi" / "layout.py",
    ROOT / "astroedge" / "cli" / "shared" / "options.py",
}
# A family's or architecture's name on its own or inside another one: "qemu-aarch64", "llvm.x86.avx2", "arm64".
NAMES = re.compile(rf"(?<![A-Za-z0-9])({'|'.join([*FAMILIES, *ARCHITECTURES])}|amd64|arm64)(?![A-Za-z0-9])")


def documentation(tree: ast.AST) -> set[int]:
    """The texts that stand alone: docstrings, and the sentences below a constant."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def families_known(source: str) -> Iterator[str]:
    """Every text with a family's or architecture's name that a program works with, and imports of one family's file.

    It does not matter where the text stands: a comparison, a `match`, the key of a table or the start of a name.
    """
    tree = ast.parse(source)
    prose = documentation(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in prose:
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            if NAMES.search(text):
                yield f"line {node.lineno}: {text!r}"
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (f"line {node.lineno}: {name}" for name in names if _one_family(name))
        elif isinstance(node, ast.Import):
            yield from (f"line {node.lineno}: {alias.name}" for alias in node.names if _one_family(alias.name))


def _one_family(name: str) -> bool:
    room, _, rest = name.partition(".families.")
    return room == "astroedge.targets" and rest.split(".")[0] in FAMILIES


def product_files() -> list[Path]:
    """The Python files of the product outside the families' room, links not followed."""
    found = (path for top in ("astroedge", "exporters", "targets", "runtimes") for path in (ROOT / top).rglob("*.py"))
    apart = {ROOM, *OWN_ROOMS, *APART}
    return sorted(path for path in found if path.resolve() == path and not apart & {path, *path.parents})


def test_no_file_but_the_families_knows_one() -> None:
    """Outside `targets/families` and the loader no program text names a family or an architecture."""
    files = product_files()
    assert len(files) > 100
    known = {str(path.relative_to(ROOT)): list(families_known(path.read_text(encoding="utf-8"))) for path in files}
    assert {path: found for path, found in known.items() if found} == {}


@pytest.mark.parametrize(
    "source",
    [
        'wide = target.family == "x86"',
        'if target.arch in ("aarch64",): pass',
        'if str(triple).startswith("x86_64-linux"): pass',
        'registers = {"arm": 32}[name]',
        'match arch:\n    case "aarch64":\n        pass',
        'command = f"qemu-aarch64-{kind}"',
        "from astroedge.targets.families.x86 import X86",
        "from astroedge.targets.families import arm",
        "import astroedge.targets.families.arm",
    ],
)
def test_knowing_a_family_is_found(source: str) -> None:
    """Whatever form a special case takes."""
    assert len(list(families_known(source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        '"""How x86 does it."""',
        'LIMIT = 3\n"""What arm allows."""',
        "from astroedge.targets.families import ARCHITECTURES",
        "wide = target.family.packs_lanes(512)",
        'warning = "alarm"',
    ],
)
def test_asking_and_explaining_are_allowed(source: str) -> None:
    """Prose may name families, and programs may ask the one they were given."""
    assert list(families_known(source)) == []
