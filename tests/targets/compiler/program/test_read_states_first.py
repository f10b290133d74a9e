"""Old states are read before new ones are made, where no reader needs the new one; all other calls keep their order."""

from __future__ import annotations

from collections.abc import Sequence

from astroedge.targets.compiler.program.read_states_first import read_states_first
from astroedge.targets.compiler.program.step_program import StepProgram, Value
from tests.support.programs import make_call


def _values(*names: str, kind: str = "computed") -> list[Value]:
    return [Value(name, (4,), "float32", kind) for name in names]


X, S, T = *_values("x", kind="input"), *_values("s", "t", kind="state")
NEW_S, NEW_T, A, B, Y = _values("new_s", "new_t", "a", "b", "y")


def _ordered(*calls: tuple[Sequence[Value], Value]) -> list[str]:
    """What the calls make, each of what it reads, in the order that the pass gives them."""
    made = [make_call(reads, [written]) for reads, written in calls]
    program = StepProgram([X], [S, T], [Y], [NEW_S, NEW_T], [], [], made)
    return [call.writes[0].name for call in read_states_first(program).calls]


def test_a_reader_of_the_old_state_comes_before_the_new_one() -> None:
    """A memory that is written first and read as it was waits, with what needs its new value, for its readers."""
    assert _ordered(((X, S), NEW_S), ((NEW_S,), A), ((X,), B), ((S, B), Y), ((T,), NEW_T)) == [
        "b",
        "y",
        "new_s",
        "a",
        "new_t",
    ]


def test_a_reader_that_needs_the_new_state_stays_behind_it() -> None:
    """A difference of the new and the old state needs both at once; nothing moves."""
    assert _ordered(((X, S), NEW_S), ((S, NEW_S), A), ((A,), Y), ((T,), NEW_T)) == ["new_s", "a", "y", "new_t"]


def test_two_states_that_would_wait_for_each_other_do_not() -> None:
    """Where each new state is made of what reads the other's old value, one waits and the other is copied."""
    assert _ordered(((S,), A), ((A, T), NEW_T), ((T,), B), ((B, S), NEW_S), ((X,), Y)) == [
        "a",
        "b",
        "new_t",
        "new_s",
        "y",
    ]
    assert _ordered(((S, T), NEW_S), ((S, T), NEW_T), ((X,), Y)) == ["new_s", "new_t", "y"]
