"""The time of a tick by kernels, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astroedge.bundle.manifest import JOINED
from astroedge.cli.shared.display import duration, percent, print_line, print_table, size
from astroedge.step_profile import format_ratio

if TYPE_CHECKING:
    from astroedge.kernel_profile import KernelTime, KernelTimes

MOST_ROWS = 30
NAMED_OPERATORS = 2  # of those that were fused into one
HEADERS = ("module", "operator", "kind", "calls", "time", "share", "bytes", "active inputs", "bytes/s", "expected")


def show_kernels(kernels: KernelTimes) -> None:
    """Print the kernels, the longest first, and how the instrumented tick compares with a plain one."""
    ordered = sorted(kernels.items, key=lambda item: item.time, reverse=True)
    shown, rest = ordered[:MOST_ROWS], ordered[MOST_ROWS:]
    print_table(HEADERS, map(_row, shown), "time per kernel in a tick by one thread, measured in an instrumented run")
    if rest:
        print_line(f"and {len(rest)} more, which take {percent(sum(item.share for item in rest))} together")
    part = kernels.instrumented
    print_line(
        f"The kernels take {duration(part.sum)} of an instrumented tick of {duration(part.step)}, reading the time "
        f"between them {duration(part.clock)}; a plain tick takes {duration(part.plain)} (instrumented: "
        f"{format_ratio(part.ratio, 2)} times as long)."
    )


def _row(item: KernelTime) -> tuple[str, ...]:
    operators, modules = item.operator.split(", "), item.module.split(JOINED)
    operator = ", ".join(operators[:NAMED_OPERATORS]) + _more(len(operators) - NAMED_OPERATORS)
    active = "" if item.active is None else f"{item.active:,.1f} of {item.inputs:,}"
    return (
        modules[0] + _more(len(modules) - 1),
        operator,
        item.kind,
        str(item.calls),
        duration(item.time),
        percent(item.share),
        size(round(item.bytes)),
        active,
        size(round(item.bandwidth)),
        "" if item.predicted is None else duration(item.predicted),
    )


def _more(further: int) -> str:
    """How many are not named."""
    return f" + {further} more" if further > 0 else ""
