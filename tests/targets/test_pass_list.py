"""Lists of passes are run in an order that is checked, and a failure says where it happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from astroedge.errors import CompileError, UnsupportedOpError
from astroedge.targets.pass_list import Pass, PassFailure, check_passes, run_passes


@dataclass
class Trace:
    """A state that remembers who was there."""

    names: list[str] = field(default_factory=list)


def make_pass(name: str, requires: tuple[str, ...] = (), ensures: tuple[str, ...] = ()) -> Pass[Trace]:
    """A pass that leaves its name."""
    return Pass(name, "", "", requires, ensures, lambda trace: trace.names.append(name))


def failing_pass(error: BaseException) -> Pass[Trace]:
    """A pass that raises."""

    def run(trace: Trace) -> None:
        raise error

    return Pass("broken", "", "", (), (), run)


def test_passes_run_in_order() -> None:
    """Every pass runs once, after what it requires."""
    trace = Trace()
    run_passes([make_pass("a", ensures=("x", "y")), make_pass("b", ("x",)), make_pass("c", ("x", "y"))], trace)
    assert trace.names == ["a", "b", "c"]


def test_wrong_order_is_refused_before_anything_runs() -> None:
    """A pass that requires what only a later one ensures is named with what is missing."""
    trace = Trace()
    with pytest.raises(CompileError, match="'late' requires y and z, which no pass before it ensures"):
        run_passes([make_pass("a", ensures=("x",)), make_pass("late", ("x", "y", "z"), ("y",))], trace)
    assert trace.names == []


def test_pass_does_not_ensure_what_it_requires_itself() -> None:
    """A fact counts from the next pass on."""
    with pytest.raises(CompileError, match="'a' requires x"):
        check_passes([make_pass("a", ("x",), ("x",))])


def test_failure_names_the_pass_and_those_that_ran() -> None:
    """An exception that nobody raised on purpose comes with its last line, and is the cause."""
    error = RuntimeError("a trace of C++\nCheck failed: no such thing\n")
    with pytest.raises(PassFailure) as caught:
        run_passes([make_pass("a"), make_pass("b"), failing_pass(error), make_pass("c")], Trace())
    assert str(caught.value) == "failed in the pass 'broken' (after a, b): Check failed: no such thing"
    assert caught.value.__cause__ is error


def test_failure_without_a_text_shows_its_class() -> None:
    """An exception may be empty, and the pass the first."""
    with pytest.raises(PassFailure, match=r"^failed in the pass 'broken': ValueError\(\)$"):
        run_passes([failing_pass(ValueError())], Trace())


def test_failure_inside_a_pass_names_both() -> None:
    """Where a pass runs a list of its own, the pass that failed in there is named too."""
    error = KeyError("lanes")

    def run(trace: Trace) -> None:
        run_passes([make_pass("inner"), failing_pass(error)], trace)

    with pytest.raises(PassFailure) as caught:
        run_passes([make_pass("a"), Pass("outer", "", "", (), (), run)], Trace())
    assert str(caught.value) == "failed in broken of the pass 'outer' (after a): 'lanes'"
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "make",
    [
        *(lambda: UnsupportedOpError("no kernel"), lambda: CompileError("no"), KeyboardInterrupt, SystemExit),
        *(lambda: OSError(28, "No space left on device"), MemoryError),
    ],
)
def test_what_is_meant_passes_unchanged(make: Callable[[], BaseException]) -> None:
    """A refusal, Ctrl-C, an exit, a full disk and a full memory come out as the very object that was raised."""
    error = make()
    with pytest.raises(type(error)) as caught:
        run_passes([failing_pass(error)], Trace())
    assert caught.value is error
