"""How long one tick takes: the compiled step beside ONNX Runtime and PyTorch, on one thread, in the same run.

    make bench-step        or        python benchmarks/step_latency.py

The contenders take turns, a block of ticks each, round after round on the same tokens, so that whatever else the
machine does strikes all of them. Times are those of single ticks as a Python caller sees them; the result is the median
over all rounds. Writes `results/step_latency.json` and `results/step_latency.md` beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import astroedge
from astroedge.runtimes.compiled import CompiledSession
from contenders import Tick, compiled, onnx_runtime, torch_eager
from machine import describe
from subjects import SUBJECTS, Subject

RESULTS = Path(__file__).with_name("results")
# Ticks a round. The first `SETTLE` of a block are not counted: they bring the contender's weights back into the cache.
BLOCK = {"demo": 200, "astrosnn-25m": 40}
SETTLE = 5
OURS, RUNTIME, TORCH, NATIVE = "astroedge step", "ONNX Runtime", "PyTorch eager", "astroedge run"


def main() -> None:
    """Time the networks asked for, print the table and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="blocks for each contender (default: %(default)s)")
    parser.add_argument("--models", nargs="+", choices=SUBJECTS, default=list(SUBJECTS), help="default: all")
    parser.add_argument("--target", default="native", help="what to compile for (default: %(default)s)")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    subjects = [SUBJECTS[name](BLOCK[name] * (arguments.rounds + 1)) for name in arguments.models]
    machine = describe()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    models = [measure(subject, arguments.rounds, arguments.target) for subject in subjects]
    report = {"machine": machine, "threads": 1, "target": arguments.target, "models": models}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "step_latency.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "step_latency.md").write_text(render(report), encoding="utf-8")
    print(render(report))


def measure(subject: Subject, rounds: int, target: str) -> dict[str, Any]:
    """Compile a network, let the contenders take turns and sum up."""
    print(f"{subject.name}: compiling {subject.weights / 1e6:.1f} million weights")
    bundle = astroedge.compile(subject.graph, target)
    with astroedge.load(bundle) as session, astroedge.load(bundle) as native:
        ticks = {OURS: compiled(session), RUNTIME: onnx_runtime(subject), TORCH: torch_eager(subject)}
        blocks = subject.tokens.reshape(rounds + 1, -1, 1)
        times = take_turns(ticks, native, blocks)
        rates = {name: count.firing_rate for name, count in session.activity().items()}
    microseconds = {name: samples / 1e3 for name, samples in times.items()}
    medians = {name: float(np.median(samples)) for name, samples in microseconds.items()}
    by_round = np.median(microseconds[RUNTIME], axis=1) / np.median(microseconds[OURS], axis=1)
    return {
        "name": subject.name,
        "weights": subject.weights,
        "ticks": int(microseconds[OURS].size),
        "firing_rates": {name: round(rate, 4) for name, rate in rates.items()},
        "library_bytes": bundle.manifest.library.size,
        "weights_bytes": bundle.manifest.weights.size,
        "microseconds": {name: summarise(samples) for name, samples in microseconds.items()},
        "times_faster_than_onnx_runtime": {
            "median": round(medians[RUNTIME] / medians[OURS], 2),
            "lowest_round": round(float(by_round.min()), 2),
            "highest_round": round(float(by_round.max()), 2),
        },
    }


def take_turns(
    ticks: Mapping[str, Tick], native: CompiledSession, blocks: NDArray[np.int64]
) -> dict[str, NDArray[np.int64]]:
    """Nanoseconds of every counted tick, `(rounds, ticks)` by contender; the first block only warms up.

    `astroedge run` is one native call for a block, so its time is the block's divided by its ticks, `(rounds, 1)`, the
    second time it runs the block.
    """
    times: dict[str, list[list[int]]] = {name: [] for name in (*ticks, NATIVE)}
    for block in blocks:
        for name, tick in ticks.items():
            times[name].append(time_block(tick, block))
        native.run(token=block)
        begin = perf_counter_ns()
        native.run(token=block)
        times[NATIVE].append([(perf_counter_ns() - begin) // len(block)])
    return {name: np.array(samples[1:]) for name, samples in times.items()}


def time_block(tick: Tick, tokens: NDArray[np.int64]) -> list[int]:
    """Nanoseconds of each tick after the first `SETTLE`."""
    samples = []
    for token in tokens:
        begin = perf_counter_ns()
        tick(token)
        samples.append(perf_counter_ns() - begin)
    return samples[SETTLE:]


def summarise(samples: NDArray[np.float64]) -> dict[str, float]:
    """Percentiles of single ticks, in microseconds."""
    names = {"p10": 10, "median": 50, "p90": 90, "p99": 99}
    return {name: round(float(np.percentile(samples, percent)), 2) for name, percent in names.items()}


def render(report: Mapping[str, Any]) -> str:
    """The report as a Markdown table."""
    machine = report["machine"]
    lines = [
        "# Time of one tick",
        "",
        f"Made by `make bench-step` on {machine['cpu']} ({machine['cores']} cores, {machine['kernel']}), one thread; "
        f"{', '.join(f'{name} {version}' for name, version in machine['versions'].items())}. Microseconds, medians of "
        "single ticks called from Python; *native run* is one call for many ticks. The contenders take turns on the "
        "same tokens. `step_latency.json` has the percentiles.",
        "",
        "| model | weights | neurons firing | astroedge step | native run | ONNX Runtime | PyTorch eager | "
        "ONNX Runtime ÷ astroedge step (per round) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for model in report["models"]:
        medians = [model["microseconds"][name]["median"] for name in (OURS, NATIVE, RUNTIME, TORCH)]
        rates = model["firing_rates"].values()
        ratio = model["times_faster_than_onnx_runtime"]
        lines.append(
            f"| {model['name']} | {model['weights'] / 1e6:.1f} M | {min(rates):.0%}–{max(rates):.0%} | "
            + " | ".join(f"{median:.1f}" for median in medians)
            + f" | **{ratio['median']:.1f}** ({ratio['lowest_round']:.1f}–{ratio['highest_round']:.1f}) |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
