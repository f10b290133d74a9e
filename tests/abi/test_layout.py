"""The binary interface has one meaning: the C header, its form in Python and the schemas say the same."""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from astroedge.abi import layout, limits
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.link.linker import find_linker, run_compiler
from tests.support.c_host import ABI
from tests.support.places import ROOT

SIGNED = (ctypes.c_int64, ctypes.c_int32)
DECLARATION = re.compile(
    r"(?:enum (?P<enum>\w+) \{(?P<codes>[^{}]*)\}"
    r"|typedef struct (?P<struct>\w+) \{(?P<members>[^{}]*)\} (?P=struct)"
    r"|(?P<result>[\w *]+\b|[\w *]+\*)\w+\([\w ,*]*\)) ?;"
)
MEMBER = re.compile(r"(?:const )?\w+ \*?(\w+)(?:\[[^\]]+\])?")

PROGRAM = """
#include <stddef.h>
#include <stdio.h>
#include "astro_abi.h"
#define NUMBER(name, value) printf("%s = %lld\\n", name, (long long)(value))
#define SIZE(kind) NUMBER("sizeof " #kind, sizeof(kind))
#define MEMBER(kind, member) \\
    NUMBER("offset of " #kind "." #member, offsetof(kind, member)); \\
    NUMBER("size of " #kind "." #member, sizeof(((kind *)0)->member)); \\
    NUMBER("sign of " #kind "." #member, _Generic(((kind *)0)->member, int32_t: 1, int64_t: 1, default: 0))
int main(void)
{
    LINES
    return 0;
}
"""


def python_codes() -> dict[str, int]:
    """Every constant and code of the interface by its name in C, as Python has it."""
    plain = {**vars(limits), **vars(layout)}
    listed = {"": layout.DTYPES, "INITIAL_": layout.INITIALS, "DRAW_": layout.DRAWS}
    return {
        **{f"ASTRO_{name}": value for name, value in plain.items() if type(value) is int},
        **{f"ASTRO_{kind}{name.upper()}": code for kind, names in listed.items() for code, name in enumerate(names)},
    }


def python_structures() -> dict[str, type[ctypes.Structure]]:
    """Every structure of the interface by its name in C, as Python has it."""
    found = [item for item in vars(layout).values() if isinstance(item, type) and issubclass(item, ctypes.Structure)]
    return {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", item.__name__).lower(): item for item in found}


def python_members(structure: type[ctypes.Structure]) -> Iterator[tuple[str, Any]]:
    """Name and type of every member of a structure."""
    yield from ((field[0], field[1]) for field in structure._fields_)


def header() -> str:
    """The header without comments, on one line but for what the preprocessor reads."""
    text = (ABI / "astro_abi.h").read_text(encoding="utf-8")
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)


def header_constants() -> list[str]:
    """The names that the header defines as something."""
    return re.findall(r"^#define (\w+) +\S", header(), flags=re.MULTILINE)


def header_declarations() -> list[re.Match[str]]:
    """The header's enums, structures and functions; it must hold nothing else."""
    for_c = re.sub(r"#ifdef __cplusplus\n.*?#endif\n", "", header(), flags=re.DOTALL)
    rest = re.sub(r"\s+", " ", re.sub(r"^#.*$", "", for_c, flags=re.MULTILINE)).strip()
    found = []
    while rest:
        declaration = DECLARATION.match(rest)
        assert declaration, f"not understood: {rest[:80]}"
        found.append(declaration)
        rest = rest[declaration.end() :].lstrip()
    return found


def declared_codes(declaration: re.Match[str]) -> list[str]:
    """The names of an enum's values, each of which has its number written out."""
    codes = [code.strip() for code in declaration["codes"].split(",")]
    assert all(re.fullmatch(r"\w+ = -?\d+", code) for code in codes), declaration["enum"]
    return [code.split()[0] for code in codes]


def declared_members(declaration: re.Match[str]) -> list[str]:
    """The names of a structure's members, one to a declaration."""
    members = [member.strip() for member in declaration["members"].split(";")]
    assert members.pop() == ""
    matches = [MEMBER.fullmatch(member) for member in members]
    assert all(matches), declaration["struct"]
    return [match[1] for match in matches if match]


def test_both_sides_name_the_same() -> None:
    """No constant, code, structure or member is on one side alone, and members are in the same order."""
    declarations = header_declarations()
    codes = [code for item in declarations if item["enum"] for code in declared_codes(item)]
    assert {*header_constants(), *codes} == set(python_codes())
    declared = {item["struct"]: declared_members(item) for item in declarations if item["struct"]}
    known = {name: [member for member, _ in python_members(item)] for name, item in python_structures().items()}
    assert declared == known


def test_numbers_are_those_of_a_c_compiler(tmp_path: Path) -> None:
    """Every constant, code, size, offset and sign is in Python what a C compiler makes of the header."""
    expected = dict(python_codes())
    lines = [f'NUMBER("{name}", {name});' for name in expected]
    for name, structure in python_structures().items():
        expected[f"sizeof {name}"] = ctypes.sizeof(structure)
        lines.append(f"SIZE({name});")
        for member, kind in python_members(structure):
            place = getattr(structure, member)
            expected[f"offset of {name}.{member}"] = place.offset
            expected[f"size of {name}.{member}"] = place.size
            expected[f"sign of {name}.{member}"] = int(kind in SIGNED)
            lines.append(f"MEMBER({name}, {member});")
    (tmp_path / "numbers.c").write_text(PROGRAM.replace("LINES", "\n    ".join(lines)), encoding="ascii")
    options = ["-std=c11", "-Werror", f"-I{ABI}", "numbers.c", "-o", "numbers"]
    run_compiler(find_linker(resolve_target("native")), options, tmp_path)
    printed = subprocess.run([tmp_path / "numbers"], capture_output=True, text=True, check=True).stdout
    found = {name: int(value) for name, value in (line.split(" = ") for line in printed.splitlines())}
    assert found == expected


@pytest.mark.parametrize("name", ["manifest", "step"])
def test_schemas_repeat_the_numbers(name: str) -> None:
    """The schemas, which cannot import them, have the same dtypes, draws and limits."""
    schema = json.loads((ROOT / "astroedge" / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))
    kinds = schema["$defs"]
    assert kinds["dtype"]["enum"] == list(layout.DTYPES)
    if name == "manifest":
        assert kinds["aligned"]["multipleOf"] == limits.ALIGNMENT
        assert kinds["input_field"]["properties"]["draw"]["enum"] == list(layout.DRAWS)
        assert schema["properties"]["abi_version"] == {"const": limits.ABI_VERSION}
        for threads in ("threads", "default_threads"):
            assert schema["properties"][threads]["maximum"] == limits.MAX_THREADS
