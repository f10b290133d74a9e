"""A function of the CUDA C library as a kernel of a program: a PrimFunc without a body, whose attributes name it."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx

from astroedge.targets.tir_builder import kernel

LIBRARY_FUNCTION = "astroedge.cuda.function"
LIBRARY_SIZES = "astroedge.cuda.sizes"
LIBRARY_BLOCKS = "astroedge.cuda.blocks"

FIRST_BLOCK = "AE_FIRST_BLOCK"
"""The size that says which block begins: a tick may write a number for it, and small calls go to different blocks."""
IN_TURN = "astroedge.cuda.in_turn"
"""That thread t of all writes the elements t, t + threads and so on of the results, and no other thread does."""
ALONE = "astroedge.cuda.alone"
"""That each block makes all of the results for itself where `EACH_BLOCK` stands for the block that begins."""
EACH_BLOCK = "AE_EACH_BLOCK"


def library_call(
    kind: str,
    name: str,
    arrays: Sequence[tuple[str, tuple[int, ...], str]],
    sizes: Sequence[int | str],
    blocks: int = 1,
    in_turn: bool = False,
    alone: bool = False,
) -> tirx.PrimFunc:
    """The kernel that calls `name` of the library with pointers to `arrays`, (name, shape, dtype) each, then `sizes`.

    All threads of the grid make the call. The function divides the work among them and waits for no other block. A size
    that is a text is written as it is. `blocks` is how many blocks of threads find something to do; `in_turn` promises
    what `IN_TURN` says: what reads these results in the same way need not wait for other blocks. `alone` promises what
    `ALONE` says.
    """
    with kernel(kind) as built:
        for array, shape, dtype in arrays:
            built.argument(array, shape, dtype)
        tirx.script.builder.ir.evaluate(0)
    attributes = {LIBRARY_FUNCTION: name, LIBRARY_SIZES: [str(size) for size in sizes]}
    return built.function.with_attrs({**attributes, LIBRARY_BLOCKS: blocks, IN_TURN: in_turn, ALONE: alone})
