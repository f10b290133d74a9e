"""Tables of the results inside the documentation: each between two marks, replaced whenever the results are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import markdown
from benchmarks.timing.compare import Record
from benchmarks.timing.contenders import STEP, OwnEntry

COMMAND, END = "make bench", "<!-- until here -->"


def begin(command: str = COMMAND) -> str:
    """The mark above what a command writes."""
    return f"<!-- written by {command} -->"


def put_into(path: Path, lines: Sequence[str], command: str = COMMAND) -> None:
    """Replace what is between the marks of `command` in the file at `path`; both have a line of their own."""
    before, rest = path.read_text(encoding="utf-8").split(f"{begin(command)}\n", 1)
    after = rest.split(END, 1)[1]
    path.write_text("\n".join([f"{before}{begin(command)}", *lines, f"{END}{after}"]), encoding="utf-8")


def summary(report: Record) -> list[str]:
    """The section "models" as one small table: a tick through `step` on one thread beside the best peers."""
    header = ["network", "weights", "firing"]
    for precision in ("fp32", "int8"):
        header += [f"AstroEdge {precision}", f"best {precision} peer", "ratio"]
    rows = []
    for record in report["comparisons"]:
        if record["threads"] != 1:
            continue
        row = [record["model"], markdown.millions(record["weights"]), markdown.firing(record)]
        for precision in ("fp32", "int8"):
            name = OwnEntry(precision, STEP).name
            times, best = record["contenders"], record["ratios"].get(name)
            row.append(markdown.microseconds(times[name]["median"]) if name in times else "–")
            row += (
                [markdown.peer_time(best["peer"], times), f"**{markdown.times(best['ratio'])}**"]
                if best
                else ["–", "–"]
            )
        rows.append(row)
    machine = report["machine"]
    return [
        f"Microseconds a tick, called from Python, medians of one run on one thread of an {machine['cpu']}:",
        "",
        *markdown.table(header, rows),
    ]
