"""The picture of the comparison with llama.cpp: speed and memory over context and speed over firing rate, by size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from benchmarks.llama.tables import CONTENDERS, contexts_of, names_present, rates_of, speed_of
from benchmarks.report.pictures import COLOURS, grid, save

Record = dict[str, Any]
Value = Callable[[Record, str], float | None]


def draw_llama(report: Record, path: Path) -> None:
    """Three panels in a row: a row of speeds over contexts, one of memory, one of speeds over rates."""
    by_context = {size: contexts_of(report, size, 1) for size in report["sizes"]}
    by_rate = {size: records for size in report["sizes"] if (records := rates_of(report, size))}
    kinds: list[tuple[dict[str, list[Record]], str, Value, str]] = [
        (by_context, "context", speed_of, "tokens a second"),
        (by_context, "context", _megabytes, "MB of memory"),
        (by_rate, "rate", speed_of, "tokens a second"),
    ]
    panels = [
        (f"{size} weights, one thread", records, over, value, label)
        for found, over, value, label in kinds
        for size, records in found.items()
    ]
    picture, axes = grid(len(panels))
    for panel, (title, records, over, value, label) in zip(axes, panels, strict=False):
        _draw_lines(panel, records, value)
        ticks = [f"{record[over]:,}" if over == "context" else f"{record[over]:.0%}" for record in records]
        panel.set_xticks(range(len(records)), ticks, fontsize=8)
        panel.set_xlabel("tokens before" if over == "context" else "neurons firing")
        panel.set_title(title, fontsize=9)
        panel.set_ylabel(label)
    if panels:
        axes[0].legend(fontsize=7, frameon=False)
    save(picture, path)


def _draw_lines(panel: Axes, records: Sequence[Record], value: Value) -> None:
    """A line for each contender, llama.cpp's broken, over evenly spaced places on a logarithmic axis."""
    for name in names_present(records):
        known = [(place, found) for place, record in enumerate(records) if (found := value(record, name)) is not None]
        style = "--" if name.startswith("llama") else "-"
        places, values = [place for place, _ in known], [found for _, found in known]
        panel.plot(places, values, style, marker=".", color=COLOURS[2 * CONTENDERS.index(name)], label=name)
    panel.set_yscale("log")


def _megabytes(record: Record, name: str) -> float | None:
    found = record["contenders"].get(name, {}).get("resident_bytes")
    return None if found is None else float(found) / 1e6
