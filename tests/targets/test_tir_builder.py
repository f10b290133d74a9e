"""Vectors cover columns, and a kernel says what it is."""

from __future__ import annotations

import pytest

from astroedge.targets.boards.target import resolve_target
from astroedge.targets.tir_builder import chunks, kernel, register_floats, store, zero


@pytest.mark.parametrize(
    ("width", "lanes", "covered"),
    [
        (0, 16, []),
        (1, 16, [(0, 1)]),
        (7, 16, [(0, 4), (4, 2), (6, 1)]),
        (36, 16, [(0, 16), (16, 16), (32, 4)]),
        (9, 4, [(0, 4), (4, 4), (8, 1)]),
    ],
)
def test_chunks_cover_the_width_once(width: int, lanes: int, covered: list[tuple[int, int]]) -> None:
    """Whole vectors first, then halves, to the last column."""
    assert chunks(width, lanes) == covered


def test_a_kernel_names_its_kind() -> None:
    """The attribute by which later passes know a finished kernel."""
    with kernel("clear") as built:
        store(built.argument("y", (4,), "float32"), 0, 4, zero("float32", 4))
    assert built.function.attrs["astroedge.kernel"] == "clear"
    assert bool(built.function.attrs["tirx.noalias"])


@pytest.mark.parametrize(
    ("board", "floats"), [("x86-64-v2", 64), ("x86-64-v3", 128), ("x86-64-v4", 512), ("raspberry-pi-4", 128)]
)
def test_registers_of_each_family(board: str, floats: int) -> None:
    """16 vector registers on x86 up to AVX2, 32 with AVX-512 and on ARM."""
    assert register_floats(resolve_target(board)) == floats
