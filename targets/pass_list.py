"""Passes that declare what they require and what they ensure, and what runs a list of them in its order.

A pass works on a state: a dataclass, of which it fills or replaces fields. What it requires and ensures are facts,
short names such as `program.merged`: the field that a fact speaks of, and what is true of it. A list whose order is
wrong is refused before anything runs, and an exception that no pass raises on purpose comes out with the name of the
pass.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from astroedge.errors import AstroEdgeError, CompileError

State = TypeVar("State")


@dataclass(frozen=True)
class Pass(Generic[State]):
    """A pass over a `State`: `run` changes the state, `what` says in a line what it does, `file` where that is."""

    name: str
    file: str
    what: str
    requires: tuple[str, ...]
    ensures: tuple[str, ...]
    run: Callable[[State], None]

    @staticmethod
    def of(
        function: Callable[..., object],
        *,
        requires: tuple[str, ...] = (),
        ensures: tuple[str, ...],
        run: Callable[[State], None],
    ) -> Pass[State]:
        """A pass that does what `function` does, with its name, its file and the first paragraph that describes it."""
        what = (inspect.getdoc(function) or "").partition("\n\n")[0].replace("\n", " ")
        file = "/".join(function.__module__.split(".")[1:]) + ".py"
        return Pass(function.__name__, file, what, requires, ensures, run)


class UnknownForm(CompileError):
    """A form of an operator for which there is no kernel, in the compiler's words; compile names node and operator."""


class PassFailure(Exception):
    """An exception that a pass did not raise on purpose; the text names the pass and those that had run."""

    def __init__(self, name: str, ran: Sequence[str], cause: Exception) -> None:
        """`cause` may be the failure of a list of passes that the pass itself runs."""
        self.cause: Exception = cause.cause if isinstance(cause, PassFailure) else cause
        self.name = name
        inside = f"{cause.name} of " if isinstance(cause, PassFailure) else ""
        after = f" (after {', '.join(ran)})" if ran else ""
        line = (str(self.cause).strip().splitlines() or [repr(self.cause)])[-1]
        super().__init__(f"failed in {inside}the pass {name!r}{after}: {line}")


def check_passes(passes: Sequence[Pass[State]]) -> None:
    """Raise CompileError for a pass that requires what no pass before it ensures."""
    ensured: set[str] = set()
    for item in passes:
        missing = [fact for fact in item.requires if fact not in ensured]
        if missing:
            raise CompileError(
                f"The pass {item.name!r} requires {' and '.join(missing)}, which no pass before it ensures; this is a "
                "defect of the compiler."
            )
        ensured.update(item.ensures)


def run_passes(passes: Sequence[Pass[State]], state: State) -> None:
    """Run the passes on `state`, one after the other.

    Raises CompileError for a wrong order, what a pass raises on purpose as it is, OSError and MemoryError too, and
    PassFailure for anything else.
    """
    check_passes(passes)
    ran: list[str] = []
    for item in passes:
        try:
            item.run(state)
        except (AstroEdgeError, OSError, MemoryError):
            raise  # these tell of the machine, not of the pass
        except Exception as error:
            failure = PassFailure(item.name, ran, error)
            raise failure from failure.cause
        ran.append(item.name)


def pass_table(passes: Sequence[Pass[State]]) -> list[str]:
    """The passes as a table in Markdown, in the order in which they run."""
    rows = [(f"`{item.name}`", item.file, _listed(item.requires), _listed(item.ensures), item.what) for item in passes]
    return _table(("pass", "file", "requires", "ensures", "what it does"), rows)


def fact_table(facts: Mapping[str, str]) -> list[str]:
    """What each fact means, as a table in Markdown."""
    return _table(("fact", "what is true"), [(f"`{name}`", meaning) for name, meaning in facts.items()])


def _listed(facts: tuple[str, ...]) -> str:
    return ", ".join(f"`{fact}`" for fact in facts) or "–"


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (header, ("---",) * len(header), *rows)]
