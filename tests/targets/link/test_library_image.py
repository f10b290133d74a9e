"""A library taken apart: what a program is linked from, and libraries of which none can be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from astroedge.errors import LinkError
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.link.library_image import read_image
from astroedge.targets.link.linker import find_linker, link_library, run_compiler
from tests.support import elf
from tests.support.bundles import compile_tick, make_tiny_bundle, tiny_manifest
from tests.support.teams import team_bundle

TABLE = """
static const int numbers[] = {1, 2, 3, 4, 5, 6};
__attribute__((visibility("hidden"))) const int *const table[] = {&numbers[1], &numbers[4]};
const int *astro_step(int place) { return table[place]; }
"""
COUNTING = "static int count; int astroedge_tick(void) { return ++count < 0; }"


def library_of(source: str, **changes: str) -> bytes:
    """A library with a tick of its own."""
    native = resolve_target("native")
    return link_library(compile_tick(source, native), replace(tiny_manifest(native), **changes), native)


@pytest.mark.parametrize("target", ["native", "raspberry-pi-4"])
def test_segments_functions_and_addresses_are_found(target: str) -> None:
    """Code is what the library has as code, its functions lie in it, and every address points into the library."""
    library = make_tiny_bundle(target).library()
    image = read_image(library)
    code = [segment for segment in image.segments if segment.executable]
    assert b"".join(segment.content for segment in code) == b"".join(elf.code(library))
    assert image.functions.keys() == elf.OF_A_STEP | elf.OF_A_PROCESSOR
    assert all(code[0].address <= place < code[0].address + code[0].size for place in image.functions.values())
    end = max(segment.address + segment.size for segment in image.segments)
    assert len(image.pointers) > 10
    assert all(0 < place < end and 0 < target < end for place, target in image.pointers.items())


@pytest.mark.parametrize(
    ("triple", "word"), [("arm-linux-gnueabihf", 4), ("aarch64-linux-gnu", 8), ("riscv64-linux-gnu", 8)]
)
def test_addresses_have_the_size_of_the_processors(triple: str, word: int, tmp_path: Path) -> None:
    """What a table of a library points at is found for 32-bit and 64-bit processors alike."""
    (tmp_path / "table.c").write_text(TABLE)
    native = find_linker(resolve_target("native"))
    if "zig" not in native.version:
        pytest.skip("needs zig")
    linker = replace(native, command=(*native.command[:3], triple))
    code = ("-O2", "-fPIC", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables")
    options = (*code, "-shared", "-nostdlib", "-Wl,-s", "-Wl,-z,relro", "-Wl,--hash-style=both")
    run_compiler(linker, [*options, "table.c", "-o", "table.so"], tmp_path)
    image = read_image((tmp_path / "table.so").read_bytes())
    assert image.word == word
    first, second = (image.pointers[place] for place in sorted(image.pointers)[:2])
    assert second - first == 12
    assert "astro_step" in image.functions


def test_a_library_for_teams_has_their_functions() -> None:
    """What workers call is found where it is exported."""
    assert {"astro_work", "astro_work_streams", "astro_dismiss"} <= read_image(team_bundle().library()).functions.keys()


def test_a_library_that_changes_data_is_refused() -> None:
    """A tick that keeps something in the library is refused, since a program has it where nothing can be written."""
    with pytest.raises(LinkError, match="data that may change"):
        read_image(library_of(COUNTING))


def test_a_library_that_needs_another_is_refused() -> None:
    """A step that calls the C library is refused."""
    source = "double exp(double); int astroedge_tick(double *x) { return exp(x[0]) > 1; }"
    with pytest.raises(LinkError, match="another library"):
        read_image(library_of(source, math="fast"))


def test_no_bytes_are_taken_for_a_library_that_are_none() -> None:
    """Whatever a file that was cut short or changed holds, an image is made or a LinkError tells that none can be."""
    library = make_tiny_bundle().library()
    end = max(segment.offset + len(segment.content) for segment in read_image(library).segments)
    for size in (*range(0, 700, 7), *range(700, end, 997)):
        with pytest.raises(LinkError):
            read_image(library[:size])
    for place in (*range(0, 700), *range(700, len(library), 97)):
        damaged = bytearray(library)
        damaged[place] ^= 0x81
        try:
            read_image(bytes(damaged))
        except LinkError:
            continue
