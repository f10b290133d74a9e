"""Schedules for what fusion leaves as plain loops: element-wise chains, and reductions without a kernel of their own.

The loops are written anew: all that belongs to one point of the result is computed together, in vectors along its
longest run of neighbouring elements, intermediate values in registers and the tail in narrower vectors. A reduction
runs in ascending order, one lane a result. Conditions on the vector's axis (padding, concatenation) split the loop
where they change, so that no lane needs a branch.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np
from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.exact.guard_floats import guard_floats
from astroedge.targets.pass_list import UnknownForm
from astroedge.targets.schedule.loop_nest import Assignment, Buffer, inline, read_assignments
from astroedge.targets.schedule.share_repeats import share_repeats
from astroedge.targets.schedule.vector_loops import Nest
from astroedge.targets.tir_builder import Kernel, kernel

if TYPE_CHECKING:
    from astroedge.targets.boards.board_file import Target

STACK_BYTES = 1000  # an array up to this size stays on the stack; a larger one would need an allocator


def schedule_blocks(func: tirx.PrimFunc, target: Target) -> tirx.PrimFunc:
    """The function of unscheduled blocks as vector loops over flat arrays (one-dimensional parameters, same order).

    Raises UnknownForm for blocks that no schedule here covers; nothing is ever left as it was.
    """
    assignments = merged_assignments(func)
    reduces = any(item.reduced for item in assignments)
    with kernel("reduction" if reduces else "element-wise") as built:
        flat = {buffer: flat_argument(built, buffer) for buffer in func.params}
        nests = loop_nests(assignments)
        _allocate_between_nests(nests, flat)
        for index, nest in enumerate(nests):
            apart = not any(_read(buffer, nests[index + 1 :]) for item in nest for buffer, _ in item.stores)
            Nest(nest, flat, target.family.loop_lanes(target.vector_bits)).emit(apart)
    return built.function


def merged_assignments(func: tirx.PrimFunc) -> list[Assignment]:
    """What a function of unscheduled blocks assigns, values that are not read at their own point in their readers."""
    assignments = read_assignments(guard_floats(func))
    outputs = [buffer for buffer in func.params if any(_stores_to(item, buffer) for item in assignments)]
    return [part for item in _inline_intermediates(assignments, outputs) for part in share_repeats(item)]


def flat_argument(built: Kernel, buffer: Buffer) -> Buffer:
    """The next parameter of a kernel: an array with one axis for one with several."""
    return built.argument(buffer.name, (max(1, prod(map(int, buffer.ty.shape))),), buffer.ty.dtype)


def _stores_to(assignment: Assignment, buffer: Buffer) -> bool:
    return any(array.same_as(buffer) for array, _ in assignment.stores)


def _inline_intermediates(assignments: list[Assignment], outputs: list[Buffer]) -> list[Assignment]:
    """Put values that are not read at their own point into their readers; the rest stay, to be kept in registers."""
    kept: list[Assignment] = []
    for item in reversed(assignments):
        buffer = item.stores[0][0]
        needed = item.reduced or any(_stores_to(item, output) for output in outputs)
        if needed or all(reader.is_own_point(load) for reader in kept for load in reader.reads(buffer)):
            kept.insert(0, item)
        else:
            kept = [inline(reader, item) for reader in kept]
    return kept


def loop_nests(assignments: list[Assignment]) -> list[list[Assignment]]:
    """Assignments of equal extents that follow each other share their loops, unless one reads another elsewhere."""
    nests: list[list[Assignment]] = []
    for item in assignments:
        written = [buffer for other in (nests[-1] if nests else []) for buffer, _ in other.stores]
        together = all(item.is_own_point(load) for buffer in written for load in item.reads(buffer))
        if nests and nests[-1][0].extents == item.extents and together:
            nests[-1].append(item)
        else:
            nests.append([item])
    return nests


def _read(buffer: Buffer, nests: list[list[Assignment]]) -> bool:
    """Whether any of the nests reads an array."""
    return any(item.reads(buffer) for nest in nests for item in nest)


def _allocate_between_nests(nests: list[list[Assignment]], flat: dict[Buffer, Buffer]) -> None:
    """Emit arrays for what one nest computes and a later one reads."""
    size = 0
    for index, nest in enumerate(nests):
        for buffer in (buffer for item in nest for buffer, _ in item.stores):
            if buffer not in flat and _read(buffer, nests[index + 1 :]):
                elements = max(1, prod(map(int, buffer.ty.shape)))
                size += elements * np.dtype(str(buffer.ty.dtype)).itemsize
                flat[buffer] = tir.alloc_buffer((elements,), buffer.ty.dtype)
    if size > STACK_BYTES:
        raise UnknownForm(
            f"{nests[0][0].name} needs {size} bytes between two of its loops and a kernel has {STACK_BYTES}; "
            "split the operator in the model."
        )
