"""The head of a report: what was measured where, and the main figures beside each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from astroedge.step_profile import format_ratio
from astroedge.units import duration, joules, percent, size
from astroedge.workflows.pages.elements import Table
from astroedge.workflows.pages.shown import Shown


@dataclass(frozen=True)
class Tile:
    """One main figure of a single profile."""

    name: str
    value: str
    note: str


def _native(shown: Shown) -> str:
    if "native" in shown.record:
        return duration(shown.record["native"]["p50"])
    throughput = shown.value("throughput")
    return "" if not throughput else duration(1e9 / throughput)


def _bytes(name: str) -> Callable[[Shown], str]:
    def read(shown: Shown) -> str:
        value = shown.value(name)
        return "" if value is None else size(int(value))

    return read


def _energy(shown: Shown) -> str:
    if "energy" in shown.record:
        return joules(shown.record["energy"]["joules_per_step"])
    value = shown.value("energy per step")
    return "" if value is None else joules(value)


def _beside(shown: Shown) -> str:
    comparison = shown.record["comparison"]
    return "" if comparison is None else f"{format_ratio(comparison['ratio'], 1)} ×"


def _done(shown: Shown) -> str:
    operations = shown.record["operations"]
    if not operations["dense"]:
        return ""
    return percent((operations["effective_acs"] + operations["effective_macs"]) / operations["dense"])


# Name, what it says, and how it is read; "" where a profile has none.
FIGURES: tuple[tuple[str, str, Callable[[Shown], str]], ...] = (
    ("Median step", "one call, p50", lambda shown: duration(shown.record["step"]["p50"])),
    ("Slow steps", "p99: one in a hundred takes longer", lambda shown: duration(shown.record["step"]["p99"])),
    ("Native step", "in a run of many ticks", _native),
    ("ONNX Runtime", "as long as the bundle, same graph", _beside),
    ("Energy", "a step", _energy),
    ("Weights", "stored size", _bytes("weights size")),
    ("Added memory", "by loading and one step", _bytes("added memory")),
    ("Operations done", "of the dense synaptic operations", _done),
)


def tiles(shown: Shown) -> list[Tile]:
    """The main figures of one profile."""
    found = ((name, read(shown), note) for name, note, read in FIGURES)
    return [Tile(name, value, note) for name, value, note in found if value]


def figures_table(profiles: Sequence[Shown]) -> Table:
    """The main figures of several profiles, a column each."""
    lines = []
    for name, note, read in FIGURES:
        cells = [read(shown) for shown in profiles]
        if any(cells):
            lines.append((f"{name} ({note})", *(cell or "–" for cell in cells)))
    return Table("Main figures", ("Figure", *(shown.letter for shown in profiles)), tuple(lines))


def described(shown: Shown) -> list[tuple[str, str]]:
    """What was measured, and where, as names and texts."""
    record = shown.record
    machine, host = record["machine"], record.get("host", {})
    threads = f"{record['threads']} thread{'s' * (record['threads'] != 1)}"
    found = [
        ("Model", record["model"]),
        ("Target", f"{record['target']}, weights {record['precision']}"),
        ("Computed by", machine.get("gpu", threads)),
        ("Measured by", "the executable itself" if record.get("by") == "executable" else "Python"),
        ("Steps", f"{record['step']['count']:,} after {record['warmup']:,} to warm up"),
        ("Inputs", record["inputs"]),
        ("Device", machine.get("device", "")),
        ("Machine", ", ".join(_machine(machine))),
        ("Host", ", ".join(str(host[key]) for key in ("name", "date", "system") if key in host)),
        ("Versions", ", ".join(f"{key} {host[key]}" for key in ("astroedge", "python", "numpy") if key in host)),
        ("Governor", str(host.get("governor", machine.get("governor", "")))),
        ("Load", _load(host)),
        ("Graph", f"SHA-256 {record['graph_sha256'][:16]}…"),
    ]
    found += [(f"{name.capitalize()}", f"SHA-256 {text[:16]}…") for name, text in record.get("digests", {}).items()]
    return [(name, text) for name, text in found if text]


def _machine(machine: object) -> list[str]:
    assert isinstance(machine, dict)
    names = [machine.get(key, "") for key in ("board", "cpu", "architecture", "kernel")]
    cores = [f"{machine['cores']} cores"] if "cores" in machine else []
    return [text for text in (*names, *cores) if text and text != "unknown"]


def _load(host: object) -> str:
    load = host.get("load") if isinstance(host, dict) else None
    if isinstance(load, list | tuple):
        return ", ".join(f"{item:g}" for item in load)
    return "" if load is None else str(load)
