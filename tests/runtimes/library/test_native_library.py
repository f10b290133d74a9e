"""Loading libraries from bytes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from astroedge.abi.layout import AstroInfo
from astroedge.errors import BundleError
from astroedge.runtimes.library import native_library
from astroedge.runtimes.library.c_interface import check_description
from astroedge.runtimes.library.native_library import load_library
from astroedge.targets.boards.target import resolve_target
from tests.support.bundles import TINY_TICK, make_bundle, tiny_manifest, weights_bytes


def library_called(model: str) -> bytes:
    """A library that says it belongs to a model of this name."""
    target = resolve_target("native")
    return make_bundle(replace(tiny_manifest(target), model=model), TINY_TICK, weights_bytes(), target).library()


def model_of(content: bytes) -> str:
    """What a library says when it is loaded."""
    library = load_library(content)
    library.astro_describe.restype = native_library.ctypes.POINTER(AstroInfo)
    return str(library.astro_describe().contents.model.decode())


def test_libraries_are_not_mistaken_for_each_other() -> None:
    """The loader finds a library by its path, and the paths of descriptors come again: each load gives its own code."""
    for name in ("first", "second", "third"):
        assert model_of(library_called(name)) == name
    assert model_of(library_called("first")) == "first"


def test_same_bytes_are_loaded_once() -> None:
    """A library is in memory once, however often it is loaded, and no descriptor stays open."""
    content = library_called("once")
    first = load_library(content)
    before = os.listdir("/proc/self/fd")
    assert load_library(content) is first
    load_library(library_called("once more"))
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_without_memory_files_a_private_file_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the system gives no sealed memory file the library comes from a private folder, which is removed."""

    def refuse(*arguments: object) -> int:
        raise OSError("not permitted")

    monkeypatch.setattr(os, "memfd_create", refuse)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert model_of(library_called("private")) == "private"
    assert list(tmp_path.iterdir()) == []


def test_memory_file_is_sealed() -> None:
    """Nobody can change the file between the check and the use."""
    descriptor = native_library._sealed_file(b"content")
    try:
        for change in (lambda: os.write(descriptor, b"x"), lambda: os.truncate(descriptor, 3)):
            with pytest.raises(PermissionError):
                change()
    finally:
        os.close(descriptor)


def test_bytes_that_are_no_library_are_refused() -> None:
    """The system's loader's refusal becomes a BundleError."""
    with pytest.raises(BundleError, match="cannot be loaded"):
        load_library(b"\x7fELF but no more")


def test_smaller_description_is_refused() -> None:
    """A library of another binary interface is told apart before its fields are read."""
    target = resolve_target("native")
    manifest = tiny_manifest(target)
    bundle = make_bundle(replace(manifest, abi_version=7), TINY_TICK, weights_bytes(), target)
    with pytest.raises(BundleError, match="binary interface 7"):
        check_description(load_library(bundle.library()), manifest, bundle.linked_digest)
