"""What this Python runs on, and refusing bundles for something else."""

from __future__ import annotations

import platform
import struct
from dataclasses import replace
from pathlib import Path

import pytest

import astroedge
from astroedge.bundle.manifest import TargetIdentity
from astroedge.errors import IncompatibleError
from astroedge.runtimes.library.processor import (
    check_processor,
    elf_architecture,
    interpreter_architecture,
    processor_features,
)
from astroedge.targets.boards.target import resolve_target
from tests.support.bundles import make_tiny_bundle


def header(machine: int, bits: int, order: str = "<") -> bytes:
    """The first 20 bytes of an ELF file."""
    start = b"\x7fELF" + bytes([bits, 1 if order == "<" else 2, 1]) + bytes(9)
    return start + struct.pack(order + "HH", 3, machine)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (header(62, 2), "x86_64"),
        (header(62, 1), "x32"),
        (header(183, 2), "aarch64"),
        (header(40, 1), "armv7l"),
        (header(3, 1), "i686"),
        (header(243, 2), "riscv64"),
        (header(22, 2, ">"), "unknown"),
        (b"#!/bin/sh and a bit more", "unknown"),
        (b"\x7fELF", "unknown"),
    ],
)
def test_architecture_of_a_program(content: bytes, expected: str) -> None:
    """The machine and the width in an ELF header decide, not what the kernel runs on."""
    assert elf_architecture(content) == expected


def test_this_interpreter() -> None:
    """The interpreter is for the machine's own architecture, and its features hold the native target's."""
    assert interpreter_architecture() == platform.machine()
    assert processor_features().issuperset(resolve_target("native").features)


def test_bundle_for_another_processor_is_refused(tmp_path: Path) -> None:
    """A bundle for the other architecture is refused before its library is touched, naming both."""
    other = "raspberry-pi-4" if platform.machine() == "x86_64" else "x86-64-v3"
    bundle = make_tiny_bundle(other)
    bundle.save(tmp_path / "other.astro")
    for source in (bundle, tmp_path / "other.astro"):
        with pytest.raises(IncompatibleError, match=f"{other}.*{platform.machine()} program") as caught:
            astroedge.load(source)
        assert "\n" not in str(caught.value)


def test_missing_features_are_named() -> None:
    """A bundle that needs CPU flags this processor lacks is refused with their names."""
    identity = resolve_target("native").identity
    check_processor(identity)
    with pytest.raises(IncompatibleError, match="has no hexavector, warpdrive"):
        check_processor(replace(identity, features=(*identity.features, "warpdrive", "hexavector")))


def test_bundle_that_needs_no_feature() -> None:
    """An identity without features asks for its architecture only."""
    check_processor(TargetIdentity("plain", "", platform.machine(), "", ()))
