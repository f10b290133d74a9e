"""Markdown tables of the results, and how numbers look in them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    return [_line(header), "|" + "---|" * len(header), *map(_line, rows)]


def microseconds(value: float | None) -> str:
    """Three significant digits, thousands with a comma; a dash for what was not measured."""
    if value is None:
        return "–"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def percent(value: float | None) -> str:
    """A share as a percentage."""
    return "–" if value is None else f"{value:.0%}"


def times(value: float | None) -> str:
    """A ratio."""
    return (
        "–" if value is None else f"{value:.2f}×" if value < 10 else f"{value:.1f}×" if value < 100 else f"{value:.0f}×"
    )


def millions(weights: int) -> str:
    """A number of weights."""
    return f"{weights / 1e6:.1f} M" if weights >= 1e5 else f"{weights:,}"


def size(nbytes: float) -> str:
    """Bytes in the unit that suits them."""
    for unit, factor in (("MB", 1e6), ("kB", 1e3)):
        if nbytes >= factor:
            return f"{nbytes / factor:,.1f} {unit}"
    return f"{nbytes:.0f} B"


def firing(record: Mapping[str, Any]) -> str:
    """The range of the firing rates that a comparison measured in float32."""
    return firing_range(record["own"].get("fp32", {}).get("firing_rates", {}).values())


def firing_range(rates: Collection[float]) -> str:
    """The least and the largest of some rates; a dash for none."""
    if not rates:
        return "–"
    low, high = f"{min(rates):.0%}", f"{max(rates):.0%}"
    return low if low == high else f"{low.removesuffix('%')}–{high}"


def peer_time(peer: str, contenders: Mapping[str, Any]) -> str:
    """A peer's median with its name."""
    return f"{microseconds(contenders[peer]['median'])} ({peer})"


def made_on(machine: Mapping[str, Any]) -> str:
    """One line on the machine and the versions."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return f"{machine['cpu']}, {machine['cores']} cores, {machine['kernel']}, Python {machine['python']}; {versions}."


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
