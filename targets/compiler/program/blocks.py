"""What the blocks of an unscheduled function say: whether it is a view, and whether it may overwrite an operand."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tvm import tirx
from tvm.ir import TensorRegion
from tvm.s_tir.stmt import SBlock, SBlockRealize

VIEW_BLOCK = re.compile(r"(T_)?(reshape|expand_dims|squeeze)\d*(_intermediate)?")  # operators that move no element


def is_pointwise(function: tirx.PrimFunc, parameter: int) -> bool:
    """True when each element of the result depends on `function`'s parameter at the same index only.

    Follows the parameter through the blocks of an unscheduled function. Any access off the block's own indices makes it
    False, and so does any function that is not made of blocks, such as a finished kernel.
    """
    blocks = list(blocks_of(function.body))
    tainted = [function.params[parameter]]
    for block in blocks:
        touched = [region for region in block.reads if _among(region.source, tainted)]
        if not touched:
            continue
        if not all(_at_own_index(region, block) for region in (*touched, *block.writes)):
            return False
        tainted += [region.source for region in block.writes]
    return bool(blocks) and len(tainted) > 1


def is_one_loop(function: tirx.PrimFunc, results: int) -> bool:
    """True when the function computes all its `results` (its last parameters) point by point, in one loop.

    They have one shape, and where one is made from another, it is from the same index.
    """
    written = list(function.params)[-results:]
    blocks = list(blocks_of(function.body))
    if not blocks or len({tuple(int(extent) for extent in buffer.ty.shape) for buffer in written}) != 1:
        return False
    reads = [(region, block) for block in blocks for region in block.reads if _among(region.source, written)]
    return all(_at_own_index(region, block) for region, block in reads)


def is_reshape(function: tirx.PrimFunc) -> bool:
    """True when the function only gives its operand another shape, so that the result is the operand itself."""
    names = [block.name_hint for block in blocks_of(function.body)]
    return len(function.params) == 2 and bool(names) and all(VIEW_BLOCK.fullmatch(name) for name in names)


def blocks_of(statement: tirx.Stmt) -> Iterator[SBlock]:
    """The innermost blocks of a function body, in order; nothing for loops written by hand."""
    if isinstance(statement, SBlockRealize):
        inner = list(blocks_of(statement.block.body))
        yield from inner or ([statement.block] if statement.block.iter_vars else [])
    elif isinstance(statement, tirx.SeqStmt):
        for part in statement.seq:
            yield from blocks_of(part)
    elif isinstance(statement, tirx.For):
        yield from blocks_of(statement.body)


def _among(buffer: tirx.Buffer, buffers: list[tirx.Buffer]) -> bool:
    return any(buffer.same_as(other) for other in buffers)


def _at_own_index(region: TensorRegion, block: SBlock) -> bool:
    """The region is one element, at the block's iteration variables in their order."""
    if len(region.region) != len(block.iter_vars) or any(item.iter_type != item.DataPar for item in block.iter_vars):
        return False
    for place, axis, extent in zip(region.region, block.iter_vars, region.source.shape, strict=True):
        at_axis = place.min.same_as(axis.var)
        at_only = int(extent) == 1 and isinstance(place.min, tirx.IntImm) and int(place.min) == 0
        if not (at_axis or at_only) or int(axis.dom.extent) != int(extent) or int(place.extent) != 1:
            return False
    return True
