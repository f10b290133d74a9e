"""A large AstroSNN on one machine: exported, compiled, verified and run, with the memory that each stage takes.

    python -m benchmarks.studies.large --weights 500M [--precisions int8 int4] [--folder FOLDER]

The network has random weights and is calibrated to the suite's firing rate. Each stage is a process of its own, and its
memory that of all processes that it starts, each page counted once (`benchmarks/timing/peak_memory.py`). Prints a
table and writes it to `results/large-<weights>.json`. The folder, on a disk with room for six times the float32
weights, keeps what is made; a network that lies there is used again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.models import AstroSNNConfig
from benchmarks.networks.large import (
    GRAPH,
    MODEL,
    VOCABULARY,
    bundle_in,
    command,
    configuration,
    count_weights,
    folder_of,
    parse_weights,
)
from benchmarks.places import REPOSITORY, RESULTS
from benchmarks.report.markdown import table
from benchmarks.timing.machine import describe
from benchmarks.timing.peak_memory import run_measured

VERIFIED_TICKS, TIMED_TICKS = 50, 64


def verify(folder: Path, precision: str) -> None:
    """Replay the golden trace and compare with ONNX Runtime, spike for spike."""
    report = astroedge.verify(bundle_in(folder, precision), folder / GRAPH, steps=VERIFIED_TICKS)
    print(report.text(), flush=True)


def run(folder: Path, precision: str) -> None:
    """Step the bundle and say how long a tick takes and how often its neurons fire."""
    generator = np.random.default_rng(3)
    with astroedge.load(bundle_in(folder, precision)) as session:
        times = []
        for token in generator.integers(0, VOCABULARY, TIMED_TICKS):
            began = time.perf_counter()
            session.step(token=np.array([token]))
            times.append(time.perf_counter() - began)
    record = {
        "tick_ms": 1e3 * float(np.median(times)),
        "bundle_bytes": Bundle.load(bundle_in(folder, precision)).nbytes,
    }
    (folder / f"run-{precision}.json").write_text(json.dumps(record), encoding="utf-8")
    print(record, flush=True)


HERE: dict[str, Callable[[Path, str], None]] = {"verify": verify, "run": run}


def main() -> None:
    """Run all stages, or the one that is asked for, in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=parse_weights, default="500M", help="about how many, such as 1.5B")
    parser.add_argument("--precisions", nargs="+", default=["int8", "int4"], metavar="WORD")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "out" / "large")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    config = configuration(arguments.weights)
    folder = folder_of(arguments.folder, config)
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.stage is None:
        measure(folder, arguments, config)
        return
    stage, _, precision = arguments.stage.partition(" ")
    HERE[stage](folder, precision)


def measure(folder: Path, arguments: argparse.Namespace, config: AstroSNNConfig) -> None:
    """Run every stage in a process of its own, print the table and write it."""
    weights = count_weights(config)
    stages = [] if (folder / MODEL).is_file() else ["make"]
    stages += ["export", *(f"{stage} {word}" for word in arguments.precisions for stage in ("compile", *HERE))]
    own = [sys.executable, "-m", __spec__.name, "--weights", str(arguments.weights), "--folder", arguments.folder]
    rows = []
    for stage in stages:
        print(f"== {stage}", flush=True)
        here = stage.split()[0] in HERE
        peak = run_measured(
            [*map(str, own), "--stage", stage] if here else command(stage, arguments.weights, folder), REPOSITORY
        )
        rows.append({"stage": stage, **asdict(peak)})
        print(f"   {peak.own / 1e9:.2f} GB, {peak.seconds:.0f} s", flush=True)
    runs = {word: json.loads((folder / f"run-{word}.json").read_text("utf-8")) for word in arguments.precisions}
    report = {"machine": describe(), "weights": weights, "config": asdict(config), "stages": rows, "runs": runs}
    print("\n".join(render(report)))
    (RESULTS / f"large-{_short(weights)}.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def render(report: dict[str, Any]) -> list[str]:
    """The report as lines of Markdown: gigabytes, and multiples of the float32 weights."""
    size = 4 * report["weights"]
    header = ["stage", "memory", "of the float32 weights", "with mapped files", "of the float32 weights", "time"]
    lines = [f"{report['weights'] / 1e6:,.0f} million weights, {size / 1e9:.2f} GB in float32.", ""]
    lines += table(header, [[row["stage"], *_cells(row, size)] for row in report["stages"]])
    for word, found in report["runs"].items():
        lines += ["", f"{word}: {found['tick_ms']:.1f} ms a tick, {found['bundle_bytes'] / 1e9:.2f} GB on disk."]
    return lines


def _cells(row: dict[str, Any], size: int) -> list[str]:
    amounts = [text for kind in ("own", "all") for text in (f"{row[kind] / 1e9:.2f} GB", f"{row[kind] / size:.2f}×")]
    return [*amounts, f"{row['seconds']:.0f} s"]


def _short(weights: int) -> str:
    """1,527,123,456 → 1527m."""
    return f"{round(weights / 1e6)}m"


if __name__ == "__main__":
    main()
