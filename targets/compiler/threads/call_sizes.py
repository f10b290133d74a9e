"""How much a call goes over, and from how much on threads that divide it gain more than they wait."""

from __future__ import annotations

from astroedge.targets.compiler.program.step_program import KernelCall

# Two points cost some 0.3 µs, and a thread gets through 100 KiB of cached weights in 2 µs.
SHARED_BYTES = 64 * 1024
TEAM_BYTES = 512 * 1024
_WHOLE_READS = ("event-gemv", "dense-gemv", "pruned-gemv", "batched-matmul", "reduction")


def is_large(call: KernelCall) -> bool:
    """Whether dividing a call gains more than the waiting costs."""
    return touched_bytes(call) >= SHARED_BYTES


def are_worth_a_team(calls: list[KernelCall]) -> bool:
    """Whether these calls, divided, are worth a second tick in the library."""
    return sum(map(touched_bytes, calls)) >= TEAM_BYTES


def touched_bytes(call: KernelCall) -> int:
    """About how many bytes a call reads and writes, as it says itself or by the sizes of its operands."""
    if call.touched is not None:
        return call.touched
    written = sum(value.nbytes for value in call.writes)
    whole = call.kind in _WHOLE_READS
    return written + sum(value.nbytes if whole else min(value.nbytes, written) for value in call.reads)
