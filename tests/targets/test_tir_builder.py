"""Vectors cover columns, and a kernel says what it is."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import tvm_ffi
from tvm import tirx

from astroedge.targets.boards.target import resolve_target
from astroedge.targets.tir_builder import chunks, kernel, register_floats, rewrite, store, zero


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


def test_rewriting_gives_what_the_general_function_gives() -> None:
    """Handlers, partial ones too, own the nodes of their types, whatever their parameters are called by default."""
    x, y = tirx.Var("x", "float32"), tirx.Var("y", "float32")

    def swap(node: Any, mutator: Any, more: float = 1.0) -> Any:
        node = mutator.default_mutate(node)
        return tirx.Sub(node.b, node.a) if more == 1.0 else node

    def rename(new: Any, var: Any, _: Any) -> Any:
        return new if var.same_as(x) else var

    value = (x + y) * (y + 2.0)
    found = rewrite(value, (tirx.Add, swap), (tirx.Var, partial(rename, y)))
    assert tvm_ffi.structural_equal(found, tirx.Sub(y, y) * tirx.Sub(tirx.const(2.0, "float32"), y))
