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
import re
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.models import AstroSNN, AstroSNNConfig, AstroSNNStep
from astroedge.workflows.compile_graph import compile_to
from benchmarks.networks.calibrate import astrosnn_patient, calibrate
from benchmarks.networks.suite import HEADLINE_RATE
from benchmarks.places import REPOSITORY, RESULTS
from benchmarks.report.markdown import table
from benchmarks.timing.machine import describe
from benchmarks.timing.peak_memory import run_measured

VOCABULARY, HEAD_WIDTH = 256, 64
WIDTHS = {1024: 0, 2048: 300_000_000}  # from how many weights on a network has which width
STREAMS, CHUNKS = 2, 30  # of the calibration
EXAMPLES, VERIFIED_TICKS, TIMED_TICKS = 64, 50, 64
MODEL, GRAPH = "network.safetensors", "network.onnx"


def configuration(weights: int) -> AstroSNNConfig:
    """An AstroSNN of about so many weights, at least one layer: 13 · layers · width² and a little."""
    width = max(width for width, least in WIDTHS.items() if weights >= least)
    layers = max(1, round(weights / (13 * width**2)))
    return AstroSNNConfig(
        VOCABULARY, width, width // HEAD_WIDTH, 4 * width, layers, shortest_memory=4.0, longest_memory=32.0, dropout=0.0
    )


@torch.no_grad()
def make(folder: Path, config: AstroSNNConfig) -> None:
    """Random weights, calibrated; what is kept is the step that is exported."""
    torch.manual_seed(0)
    model = AstroSNN(config).eval().requires_grad_(False)
    generator = np.random.default_rng(1)

    def draw(ticks: int) -> torch.Tensor:
        return torch.from_numpy(generator.integers(0, VOCABULARY, (STREAMS, ticks)))

    reached = calibrate(astrosnn_patient(model, STREAMS, draw), HEADLINE_RATE, CHUNKS)
    rates = sorted(reached.values())
    print(f"groups fire at {rates[0]:.1%} to {rates[-1]:.1%}, on average at {sum(rates) / len(rates):.1%}", flush=True)
    known = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    decays = {f"model.{name}.value": module for name, module in model.named_modules() if name}
    stored = {name: known[name] if name in known else decays[name]() for name in _empty(config).state_dict()}
    safetensors.torch.save_file(stored, folder / MODEL)


def export(folder: Path, config: AstroSNNConfig) -> None:
    """Export the step, whose weights stay where their file is mapped."""
    step = _empty(config)
    step.load_state_dict(safetensors.torch.load_file(folder / MODEL), assign=True)
    state = [torch.zeros(tensor.shape) for tensor in step.initial_state()]
    generator = np.random.default_rng(2)
    examples = [(torch.tensor([token]),) for token in generator.integers(0, VOCABULARY, EXAMPLES)]
    graph = astroedge.export(step, examples[0], state, examples=examples, progress=_say)
    print(graph.parity, flush=True)
    graph.save(folder / GRAPH)


def compile_stage(folder: Path, precision: str) -> None:
    """Compile the graph for this machine, compared with ONNX Runtime as always."""
    compile_to(_bundle(folder, precision), folder / GRAPH, precision=precision, progress=_say)


def verify(folder: Path, precision: str) -> None:
    """Replay the golden trace and compare with ONNX Runtime, spike for spike."""
    report = astroedge.verify(_bundle(folder, precision), folder / GRAPH, steps=VERIFIED_TICKS)
    print(report.text(), flush=True)


def run(folder: Path, precision: str) -> None:
    """Step the bundle and say how long a tick takes and how often its neurons fire."""
    generator = np.random.default_rng(3)
    with astroedge.load(_bundle(folder, precision)) as session:
        times = []
        for token in generator.integers(0, VOCABULARY, TIMED_TICKS):
            began = time.perf_counter()
            session.step(token=np.array([token]))
            times.append(time.perf_counter() - began)
    record = {"tick_ms": 1e3 * float(np.median(times)), "bundle_bytes": Bundle.load(_bundle(folder, precision)).nbytes}
    (folder / f"run-{precision}.json").write_text(json.dumps(record), encoding="utf-8")
    print(record, flush=True)


PER_PRECISION: dict[str, Callable[[Path, str], None]] = {"compile": compile_stage, "verify": verify, "run": run}


def main() -> None:
    """Run all stages, or the one that is asked for, in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=_number, default=_number("500M"), help="about how many, such as 1.5B")
    parser.add_argument("--precisions", nargs="+", default=["int8", "int4"], metavar="WORD")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "out" / "large")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    config = configuration(arguments.weights)
    folder = arguments.folder / f"{config.width}x{config.layers}"
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.stage is None:
        measure(folder, arguments, config)
        return
    stage, _, precision = arguments.stage.partition(" ")
    if precision:
        PER_PRECISION[stage](folder, precision)
    else:
        {"make": make, "export": export}[stage](folder, config)


def measure(folder: Path, arguments: argparse.Namespace, config: AstroSNNConfig) -> None:
    """Run every stage in a process of its own, print the table and write it."""
    weights = sum(parameter.numel() for parameter in _empty(config).parameters())
    stages = [] if (folder / MODEL).is_file() else ["make"]
    stages += ["export", *(f"{stage} {word}" for word in arguments.precisions for stage in PER_PRECISION)]
    own = [sys.executable, "-m", __spec__.name, "--weights", str(arguments.weights), "--folder", arguments.folder]
    rows = []
    for stage in stages:
        print(f"== {stage}", flush=True)
        peak = run_measured([*map(str, own), "--stage", stage], REPOSITORY)
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


def _empty(config: AstroSNNConfig) -> AstroSNNStep:
    """The step without memory for its weights."""
    with torch.device("meta"):
        return AstroSNNStep(AstroSNN(config))


def _bundle(folder: Path, precision: str) -> Path:
    return folder / f"{precision}.astro"


def _say(stage: str) -> None:
    print(f"   {stage}", flush=True)


def _number(text: str) -> int:
    """50M → 50,000,000."""
    match = re.fullmatch(r"([\d.]+)([KMB]?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of weights; write 500M or 1.5B.")
    return round(float(match[1]) * {"": 1, "K": 10**3, "M": 10**6, "B": 10**9}[match[2]])


def _short(weights: int) -> str:
    """1,527,123,456 → 1527m."""
    return f"{round(weights / 1e6)}m"


if __name__ == "__main__":
    main()
