"""The conformance table: every framework and cell beside what it was checked for.

    make conformance        or        python -m tests.conformance [WORD …]

checks the cases whose titles hold one of the words, all by default, and prints a row for each cell. A cell whose cases
do not all pass is named below the table with the reason, and the exit status is 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from tests.conformance.all_cases import all_cases, missing
from tests.conformance.cases import Case, cells_of, variants_of
from tests.conformance.checks import (
    FORCED_TICKS,
    GRID_TICKS,
    TRANSCRIBED_TICKS,
    WRAPPER_TICKS,
    check_forced,
    check_machines,
    checks_of,
)
from tests.support.machines import Machine, available

COLUMNS = ("wrapper", "grid", "forced", "processors", "NumPy")


@dataclass
class Row:
    """What the cases of one cell showed: the outcome of each check that applies, firing rates, and what failed."""

    passed: dict[str, bool] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def main() -> None:
    """Run the checks and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD", help="check the cases whose titles hold one; default: all")
    words = parser.parse_args().words
    torch.set_num_threads(1)  # small convolutions are done before a second thread wakes
    cases = [case for case in all_cases() if not words or any(word in case.title for word in words)]
    machines = available()
    print(_legend(machines))
    print(f"| framework | cell | variants | {' | '.join(COLUMNS)} | firing rates |")
    print("|---|---|---|" + "---|" * (len(COLUMNS) + 1))
    failures = []
    for (framework, cell), members in cells_of(cases):
        row = _check(members, machines)
        marks = " | ".join({None: "–", True: "✓", False: "✗"}[row.passed.get(name)] for name in COLUMNS)
        rates = f"{min(row.rates):.0%}–{max(row.rates):.0%}" if row.rates else "–"
        print(f"| {framework} | {cell} | {variants_of(members)} | {marks} | {rates} |", flush=True)
        failures += row.failures
    if missing():
        print(f"\nNot installed, and left out: {', '.join(missing())}.")
    print("".join(f"\n- {line}" for line in failures))
    raise SystemExit(1 if failures else 0)


def _check(cases: list[Case], machines: list[Machine]) -> Row:
    """Run all checks of the cases of one cell."""
    row = Row()
    for case in cases:
        checks: dict[str, Callable[[Case], object]] = {
            **checks_of(case),
            "forced": lambda case: row.rates.extend(check_forced(case)[1]),
            "processors": lambda case: check_machines(case, machines),
        }
        for name, check in checks.items():
            try:
                check(case)
                passed = True
            except Exception as error:  # a case that cannot be exported must not hide the others
                passed = False
                row.failures.append(f"{case.title}, {name}: {type(error).__name__}: {error}")
            row.passed[name] = passed and row.passed.get(name, True)
    return row


def _legend(machines: list[Machine]) -> str:
    names = ", ".join(f"{item.target}{' (emulated)' if item.emulated else ''}" for item in machines)
    return f"""\
- *wrapper*: the model with its state made explicit is the framework's model, bit for bit, over {WRAPPER_TICKS} ticks;
- *grid*: with weights on a grid of 1/64 PyTorch, ONNX Runtime and the compiled step, running free, have equal bits over
  {GRID_TICKS:,} ticks, neurons that reach their threshold exactly included (networks, here and below: a tenth of them);
- *forced*: with drawn weights the compiled step follows ONNX Runtime by the forced rule over {FORCED_TICKS:,} ticks;
- *processors*: the compiled step has equal bits on {names};
- *NumPy*: where a cell is more than sums, products and comparisons, and for NIR, which is equations and no framework,
  the compiled step equals the equations written out in NumPy with AstroEdge's exact functions over
  {TRANSCRIBED_TICKS} ticks.
"""


if __name__ == "__main__":
    main()
