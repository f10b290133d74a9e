"""Every cell of every framework: exported and compiled, it does what it does in its framework."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conformance.all_cases import all_cases, missing
from tests.conformance.cases import Case, cells_of, variants_of
from tests.conformance.checks import ConformanceError, check_machines, checks_of
from tests.support.arm_root import ArmRoot
from tests.support.machines import available
from tests.support.places import ROOT

README = ROOT / "README.md"
# `make conformance` compares more processors, the exact cells too, over more ticks. This machine's own code, of these
# same cells, has the bits of NumPy.
CHOSEN = ("x86-64-v2", "raspberry-pi-4")
# Ticks that are run here; `make conformance` runs all of them.
MOST = {"grid": 400, "forced": 200}
MACHINE_TICKS = 200
FIRST = {id(members[0]) for _, members in cells_of(all_cases())}  # of each cell's variants


def _checks() -> Iterator[Any]:
    """Every check of every case, but the longest, which `make conformance` has.

    By the forced rule no networks are checked, and of exact cells every second; the others are checked on the grid.
    What is compiled is the first variant of a cell alone; of the others only the state is made explicit, beside the
    framework.
    """
    exact = [case for case in all_cases() if case.exact and id(case) in FIRST]
    networks = [case for case in all_cases() if case.network]
    left_out = {"grid": [case for case in exact[::2] if not case.network], "forced": exact[1::2] + networks}
    skipped = {(name, id(case)) for name, cases in left_out.items() for case in cases}
    for case in all_cases():
        for name, check in checks_of(case).items():
            if name == "wrapper" or (id(case) in FIRST and (name, id(case)) not in skipped):
                yield pytest.param(case, check, MOST.get(name), id=f"{case.title}: {name}")


def _in_part(check: Callable[..., object], most: int, case: Case) -> None:
    """A check over so many ticks; over all of them where it fails, because some cells fire and tie too seldom.

    What differs within the first ticks differs within all of them too: both draw the same inputs.
    """
    try:
        check(case, most)
    except ConformanceError:
        check(case)


ROUNDED = [pytest.param(case, id=case.title) for case in all_cases() if not case.exact and id(case) in FIRST]


def test_frameworks_are_there() -> None:
    """In CI no framework may be missing, because its cells would be left out."""
    if missing() and "CI" not in os.environ:
        pytest.skip(f"not installed: {', '.join(missing())}")
    assert not missing()


def test_readme_shows_every_cell() -> None:
    """The table in the README has a row for each cell with all its variants, and no mark that says that one failed."""
    if missing():
        pytest.skip(f"not installed: {', '.join(missing())}")
    table = README.read_text(encoding="utf-8").partition("<!-- printed by make conformance -->")[2]
    rows = [line for line in table.partition("<!-- until here -->")[0].splitlines() if line.startswith("| ")][1:]
    shown = [tuple(cell.strip() for cell in row.split("|")[1:4]) for row in rows]
    assert shown == [(*name, variants_of(members)) for name, members in cells_of(all_cases())]
    assert all("✓" in row and "✗" not in row for row in rows)


@pytest.mark.parametrize(("case", "check", "most"), [*_checks()])
def test_cell_is_what_it_is_in_its_framework(case: Case, check: Callable[..., object], most: int | None) -> None:
    """Wrapped, on the grid, by the forced rule or beside NumPy, a cell passes every check that applies to it."""
    check(case) if most is None else _in_part(check, most, case)


@pytest.mark.parametrize("case", ROUNDED)
def test_processors_agree(root: ArmRoot, case: Case) -> None:
    """A cell with exp, tanh, division and the like has equal bits on every processor."""
    check_machines(case, [machine for machine in available() if machine.target in CHOSEN], MACHINE_TICKS)
