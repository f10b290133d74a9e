"""Section "rates": what a tick costs as more neurons fire, beside ONNX Runtime, which multiplies every zero."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.networks.subjects import make_subject
from benchmarks.networks.suite import RATES, SUITE
from benchmarks.report import markdown
from benchmarks.report.pictures import COLOURS, grid, save
from benchmarks.timing.compare import Record, compare
from benchmarks.timing.contenders import OWN_ENTRIES, STEP, OwnBundles
from benchmarks.timing.settings import Settings, each

PEERS = ("onnxruntime", "onnxruntime int8")
ENTRIES = tuple(entry for entry in OWN_ENTRIES if entry.call == STEP)
# The demo-sized and the large AstroSNN stand for the one in between.
SWEPT = ("lif-tiny", "alif-shd", "nmnist-conv", "spiking-rwkv-25m", "astrosnn-1m", "astrosnn-25m")


def measure(settings: Settings, bandwidth: Mapping[int, float]) -> Record:
    """Compare at every rate on every network that can be calibrated, one thread."""

    def sweep(name: str) -> list[Record]:
        return [
            compare(OwnBundles(make_subject(name, rate), checked=False), ENTRIES, PEERS, 1, settings.plan, bandwidth)
            for rate in settings.rates or RATES
        ]

    failed: dict[str, str] = {}
    return {"comparisons": each([name for name in SWEPT if name in settings.models], failed, sweep), "failed": failed}


def render(report: Record) -> list[str]:
    """A table for each network: a row for each contender, a column for each rate."""
    lines = ["## A tick by firing rate, one thread, µs", ""]
    for name, records in _by_model(report).items():
        header = [SUITE[name].title, *(f"{record['rate']:.0%}" for record in records)]
        rows = [[line, *(markdown.microseconds(_median(record, line)) for record in records)] for line in _lines()]
        lines += [*markdown.table(header, rows), ""]
    lines += [f"- {name}: {reason}" for name, reason in report["failed"].items()]
    return lines


def draw(report: Record, path: Path) -> None:
    """A panel for each network: time over rate, both logarithmic."""
    models = _by_model(report)
    picture, panels = grid(len(models))
    for panel, (name, records) in zip(panels, models.items(), strict=False):
        for position, line in enumerate(_lines()):
            known = [(record["rate"], median) for record in records if (median := _median(record, line)) is not None]
            style = "--" if line in PEERS else "-"
            rates, medians = [rate for rate, _ in known], [median for _, median in known]
            panel.plot(rates, medians, style, marker=".", color=COLOURS[2 * position], label=line)
        panel.set_title(name, fontsize=9)
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_xticks([record["rate"] for record in records], [f"{record['rate']:.0%}" for record in records])
        panel.minorticks_off()
        panel.set_ylabel("µs a tick")
    if panels:
        panels[0].legend(fontsize=7, frameon=False)
    save(picture, path)


def _lines() -> list[str]:
    return [*(entry.name for entry in ENTRIES), *PEERS]


def _by_model(report: Record) -> dict[str, list[Record]]:
    models: dict[str, list[Record]] = {}
    for record in report["comparisons"]:
        models.setdefault(record["model"], []).append(record)
    return models


def _median(record: Record, name: str) -> float | None:
    found: float | None = record["contenders"].get(name, {}).get("median")
    return found
