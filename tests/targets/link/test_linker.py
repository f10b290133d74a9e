"""Linking the compiled tick, the shim and the manifest's data into a bundle's library."""

from __future__ import annotations

import platform
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from astroedge.errors import LinkError
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.link import linker
from astroedge.targets.link.linker import find_linker, link_library
from tests.support import elf
from tests.support.bundles import TINY_TICK, compile_tick, tiny_manifest

ENTRIES = elf.OF_A_STEP | elf.OF_A_PROCESSOR
TICK_THAT_CALLS_MEMORY = """
#include <stdint.h>
#include <string.h>
int32_t astroedge_tick(void *i, void *o, void *s, void *w, void *x)
{
    memcpy(o, s, 320); memmove(s, (char *)s + 8, 200); memset(x, 1, 64);
    return memcmp(i, w, 32);
}
"""
TICK_THAT_CALLS_EXP = "float expf(float); int astroedge_tick(float *i, float *o) { *o = expf(*i); return 0; }"


def without_zig(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ziglang look as if it were not installed."""
    monkeypatch.setattr(linker, "_zig", lambda: None)


@pytest.mark.parametrize("name", ["native", "raspberry-pi-4"])
def test_library_exports_the_interface_and_needs_nothing(name: str) -> None:
    """The library is for the target's processor, exports the C interface and no more, and has no undefined symbol."""
    target = resolve_target(name)
    library = link_library(compile_tick(TINY_TICK, target), tiny_manifest(target), target)
    assert elf.machine(library) == target.arch
    assert elf.dynamic_symbols(library) == (ENTRIES, set())
    assert elf.section(library, 2) == b"", "the full symbol table must be stripped"


@pytest.mark.parametrize("name", ["native", "raspberry-pi-4", "armv7", "riscv64"])
def test_library_loads_on_kernels_with_large_pages(name: str) -> None:
    """Segments are aligned to 64 KiB, the largest page an arm64 kernel uses."""
    target = resolve_target(name)
    library = link_library(compile_tick(TINY_TICK, target), tiny_manifest(target), target)
    assert elf.page_alignment(library) == 65536


def test_same_input_gives_same_bytes_in_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library does not depend on where it was linked, and no path of the machine is in it."""
    target = resolve_target("native")
    first = link_library(compile_tick(TINY_TICK, target), tiny_manifest(target), target)
    other = tmp_path / "a folder with a very different and much longer name"
    other.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(other))
    second = link_library(compile_tick(TINY_TICK, target), tiny_manifest(target), target)
    assert first == second
    assert b"astroedge-link-" not in first
    assert list(other.iterdir()) == []


def test_memory_functions_are_inside_and_hidden() -> None:
    """A tick that calls memcpy, memmove, memset and memcmp links without the C library."""
    target = resolve_target("native")
    library = link_library(compile_tick(TICK_THAT_CALLS_MEMORY, target), tiny_manifest(target), target)
    assert elf.dynamic_symbols(library) == (ENTRIES, set())


def test_undefined_function_is_named() -> None:
    """A tick that needs a function no one provides is refused by that function's name, not left to fail later."""
    target = resolve_target("native")
    with pytest.raises(LinkError, match="expf"):
        link_library(compile_tick(TICK_THAT_CALLS_EXP, target), tiny_manifest(target), target)


def test_damaged_object_is_one_clear_line() -> None:
    """An object file that is none gives the linker's first error in one line."""
    target = resolve_target("native")
    with pytest.raises(LinkError, match=r"cannot link the step: .*error") as caught:
        link_library(b"not an object", tiny_manifest(target), target)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_own_compiler_is_used_without_zig(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ziglang the machine's own C compiler links for the machine's own processor, to the same interface."""
    target = resolve_target("native")
    tick = compile_tick(TINY_TICK, target)
    without_zig(monkeypatch)
    assert find_linker(target).command[0] == (shutil.which(f"{target.triple}-gcc") or shutil.which("cc"))
    manifest = tiny_manifest(target)
    library = link_library(tick, manifest, target)
    assert elf.dynamic_symbols(library) == (ENTRIES, set())
    assert elf.page_alignment(library) == 65536
    assert library == link_library(tick, manifest, target)
    with pytest.raises(LinkError, match="expf"):
        link_library(compile_tick(TICK_THAT_CALLS_EXP, target), manifest, target)


@pytest.mark.skipif(
    platform.machine() == "aarch64" or shutil.which("aarch64-linux-gnu-gcc") is None, reason="needs a cross gcc"
)
def test_cross_compiler_is_used_without_zig(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ziglang a cross gcc links for another processor."""
    target = resolve_target("raspberry-pi-4")
    tick, manifest = compile_tick(TINY_TICK, target), tiny_manifest(target)
    without_zig(monkeypatch)
    library = link_library(tick, manifest, target)
    assert elf.machine(library) == "aarch64"
    assert elf.dynamic_symbols(library) == (ENTRIES, set())


def test_no_linker_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ziglang and any fitting gcc the error names both ways out."""
    without_zig(monkeypatch)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LinkError, match=r"astroedge\[host\].*aarch64-linux-gnu-gcc"):
        find_linker(resolve_target("raspberry-pi-4"))


@pytest.mark.parametrize(
    "text", ['quote " and back\\slash', "??/ trigraph", "line\nbreak */", "Ünïcödé 神経", "\x7f\x01007"]
)
def test_any_text_links(text: str) -> None:
    """A model's name can hold quotes, escapes, trigraphs and any language without breaking the C source."""
    target = resolve_target("native")
    manifest = replace(tiny_manifest(target), model=text)
    library = link_library(compile_tick(TINY_TICK, target), manifest, target)
    assert text.encode() + b"\0" in library


def test_nul_in_a_name_is_refused() -> None:
    """A NUL, which would cut the name short in C, is an error."""
    target = resolve_target("native")
    with pytest.raises(LinkError, match="NUL"):
        link_library(compile_tick(TINY_TICK, target), replace(tiny_manifest(target), model="a\0b"), target)


def test_nothing_of_the_working_directory_or_of_home_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ziglang.py that lies here does not run, and no object is kept where a later link would believe it."""
    target = resolve_target("native")
    tick = compile_tick(TINY_TICK, target)
    (tmp_path / "ziglang.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for cached in (linker._version, linker._shim_objects):
        cached.cache_clear()
    link_library(tick, tiny_manifest(target), target)
    assert [path.name for path in tmp_path.iterdir()] == ["ziglang.py"]


def test_linker_that_does_not_end_is_an_error(tmp_path: Path) -> None:
    """A compiler that hangs is stopped, and named."""
    with pytest.raises(LinkError, match="slow 1 does not end within"):
        linker.run_compiler(linker.Linker(("sleep",), "slow 1"), ["60"], tmp_path, seconds=1)
