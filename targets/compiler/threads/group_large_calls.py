"""Large calls that need not wait for each other stand together, so that threads dividing them wait once for all.

A call that is worth dividing moves up to the last one before it, over the small calls in between, if it needs none of
them: four products of one spike tensor follow each other, and what is made of each comes after all four. A small call
moves up over such calls where it needs none of them: what follows these then is what they made.

Whoever reads an old state still comes before the call that makes the new one. Steps too small for a team stay as they
are.
"""

from __future__ import annotations

from dataclasses import replace

from astroedge.targets.compiler.program.step_program import KernelCall, StepProgram, Value
from astroedge.targets.compiler.threads.call_sizes import are_worth_a_team, is_large


def group_large_calls(program: StepProgram) -> StepProgram:
    """Put the large calls of `program` that need not wait for each other next to each other."""
    if not are_worth_a_team([call for call in program.calls if is_large(call)]):
        return program
    old_of = {new: old for old, new in zip(program.states, program.nexts, strict=True) if new is not old}
    ordered: list[KernelCall] = []
    for call in program.calls:
        place = _place(call, ordered, old_of) if is_large(call) else _before_large(call, ordered, old_of)
        ordered.insert(place, call)
    return replace(program, calls=ordered)


def _place(call: KernelCall, ordered: list[KernelCall], old_of: dict[Value, Value]) -> int:
    """Behind the last large call, or at the end if one of the small calls since then has to come first."""
    for index in range(len(ordered) - 1, -1, -1):
        if is_large(ordered[index]):
            return index + 1
        if _must_follow(call, ordered[index], old_of):
            break
    return len(ordered)


def _before_large(call: KernelCall, ordered: list[KernelCall], old_of: dict[Value, Value]) -> int:
    """Before the large calls at the end, or at the end if one of them has to come first."""
    place = len(ordered)
    while place and is_large(ordered[place - 1]):
        place -= 1
        if _must_follow(call, ordered[place], old_of):
            return len(ordered)
    return place


def _must_follow(call: KernelCall, other: KernelCall, old_of: dict[Value, Value]) -> bool:
    """Whether a call reads what another makes, or makes the new state of what that one reads."""
    overwritten = {old_of[value] for value in call.writes if value in old_of}
    return bool(set(call.reads) & set(other.writes) or overwritten & set(other.reads))
