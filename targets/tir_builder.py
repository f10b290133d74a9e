"""What the hand-written kernels share: building a PrimFunc, and vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import tvm_ffi
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script.builder import ir as tir

if TYPE_CHECKING:
    from astroedge.targets.boards.board_file import Target

INDEPENDENT = "astroedge.independent"
"""Annotation of a loop that threads may divide among them: 2, or 1 if rather not (`threads/divide_loops.py`)."""

KERNEL_ATTRIBUTE = "astroedge.kernel"
"""What a function says that is a kernel, written by hand or scheduled: of which kind."""

IN_PLACE = "astroedge.in_place"
"""What a kernel says that leaves most of a state as it is: which of its parameters the new state has to lie over."""

Buffer = Any  # TVM's classes carry no type information
Expression = Any

FORM = "astroedge.form"
"""What a kernel says that has another form for a GPU: the function that made it, and its arguments."""

OWN = "astroedge.own"
"""What a kernel says each iteration of whose outermost loop touches only its own part of every parameter.

Nothing checks it: for kernels whose lists tell them places, but only places of their own.
"""

_UNREADABLE = 0  # nothing that `inspect.signature` takes for one

Handler = Callable[[Any, tvm_ffi.StructuralMutator], Any]
"""What takes a node and the mutator and returns what stands in the node's place."""


def rewrite(root: Any, *handlers: tuple[type | tuple[type, ...], Handler]) -> Any:
    """A statement or expression with what `handlers` return in place of the nodes of their types.

    As `tvm_ffi.structural_mutate`, at less cost: that reads the signature of each handler at each call, to find whether
    it takes a third argument, which takes longer than most rewritings; a handler whose signature it cannot read gets
    two. `handlers` are functions or partial ones, which are marked as unreadable.
    """
    for _, handler in handlers:
        handler.__signature__ = _UNREADABLE  # type: ignore[attr-defined]
    return tvm_ffi.structural_mutate(root, handlers)


class Kernel:
    """A PrimFunc under construction; `function` is there when the `with` block of `kernel` has ended."""

    function: tirx.PrimFunc

    def argument(self, name: str, shape: tuple[int, ...], dtype: str) -> Buffer:
        """The next parameter of the function."""
        return tir.arg(name, tir.buffer(shape, dtype))


@contextmanager
def kernel(kind: str) -> Iterator[Kernel]:
    """Everything emitted in the `with` block becomes the body of one PrimFunc with the attribute `astroedge.kernel`."""
    built = Kernel()
    with IRBuilder() as builder, tir.prim_func(s_tir=True):
        tir.func_name(kind)
        tir.func_attr({"tirx.noalias": True, KERNEL_ATTRIBUTE: kind})
        yield built
    built.function = builder.get()


def register_floats(target: Target) -> int:
    """How many float32 numbers a processor's vector registers hold."""
    return target.family.vector_registers(target.vector_bits) * target.vector_bits // 32


def chunks(width: int, lanes: int = 16) -> list[tuple[int, int]]:
    """(offset, lanes) of the vectors that cover `width` columns: whole vectors, then 8, 4, 2 and 1 lanes."""
    covered: list[tuple[int, int]] = []
    offset = 0
    while offset < width:
        while lanes > width - offset:
            lanes //= 2
        covered.append((offset, lanes))
        offset += lanes
    return covered


def in_vectors(width: int, emit: Callable[[Expression, int], None], lanes: int = 16) -> None:
    """Emit `emit(offset, lanes)` for the vectors that cover `width` elements, the whole ones in a loop."""
    whole = width // lanes
    if whole:
        with tir.serial(0, whole) as block:
            emit(block * lanes, lanes)
    for offset, rest in chunks(width % lanes):
        emit(tirx.const(whole * lanes + offset, "int32"), rest)


def independent(count: Expression, rows: bool = False) -> Any:
    """A loop of `count` iterations that threads may divide among them; a `with` block gives its index.

    Each iteration must write elements of the parameters that no other iteration of any such loop of the kernel reads or
    writes, and arrays on the stack only if they are allocated inside it. A kernel that stores to a parameter outside
    such loops is simply not divided, so what comes after or between them goes into a loop of one.

    `rows` says that all iterations read the same weights: then a loop over columns, where there is one inside or
    around it, is divided instead, and every thread reads its own part of the weights.
    """
    return tir.serial(0, count, annotations={INDEPENDENT: 1 if rows else 2})


def tiles(columns: int, tile: int, rows: bool = False) -> Iterator[tuple[Expression, int]]:
    """Emit a loop over the whole tiles, then the narrower last one; yields (first column, width) inside each.

    What is emitted for a tile must be independent of the other tiles, as `independent` says, which explains `rows`.
    """
    whole = columns // tile
    if whole:
        with independent(whole, rows) as index:
            yield index * tile, tile
    if columns % tile:
        with independent(1, rows):
            yield tirx.const(whole * tile, "int32"), columns % tile


def load(buffer: Buffer, start: Expression, lanes: int, stride: int = 1) -> Expression:
    """`lanes` elements from `start`, `stride` elements apart, as one vector."""
    return tirx.BufferLoad(buffer, [start if lanes == 1 else tirx.Ramp(start, stride, lanes)])


def store(buffer: Buffer, start: Expression, lanes: int, value: Expression) -> None:
    """Write a vector of `lanes` elements at `start`."""
    tir.buffer_store(buffer, value, [start if lanes == 1 else tirx.Ramp(start, 1, lanes)])


def splat(value: Expression, lanes: int) -> Expression:
    """One number in all lanes."""
    return value if lanes == 1 else tirx.Broadcast(value, lanes)


def fuses(target: Target) -> bool:
    """Whether one instruction multiplies and adds with one rounding."""
    return target.family.fused_feature in ("", *target.features)


def add_product(total: Expression, weight: Expression, value: Expression, fused: bool) -> Expression:
    """total + weight·value, each rounded; `fused` says that values are 0 or powers of two and a target `fuses`.

    Such a product is exact, so that rounding it as well or not gives the same bits.
    """
    return tirx.call_llvm_pure_intrin(total.ty, "llvm.fma", weight, value, total) if fused else total + weight * value


def zero(dtype: str, lanes: int) -> Expression:
    """+0 in all lanes."""
    return splat(tirx.const(0, dtype), lanes)


def hold(value: Expression) -> Expression:
    """The value, computed here once; a mere name would be replaced by its value wherever it is used."""
    held = tir.alloc_buffer((1,), value.ty.dtype)
    tir.buffer_store(held, value, [0])
    return held[0]


@contextmanager
def loop(count: int) -> Iterator[Expression]:
    """A loop over 0 ≤ index < count, or nothing around a single turn."""
    if count == 1:
        yield tirx.const(0, "int32")
    else:
        with tir.serial(0, count) as index:
            yield index


@contextmanager
def span(begin: Expression, end: Expression) -> Iterator[Expression]:
    """A loop over computed bounds, written from 0: TVM forgets a beginning in the bounds of loops further in."""
    first = hold(begin)
    with tir.serial(0, end - first) as index:
        yield first + index
