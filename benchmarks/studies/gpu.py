"""The suite on this machine's GPU: AstroEdge beside PyTorch, CUDA graphs, torch.compile, ONNX Runtime and TensorRT.

    make bench-gpu        or        python -m benchmarks.studies.gpu [--networks NAME …] [--streams N …] [--quick]

Each network is stepped with 1, 64 and 1024 streams side by side, inputs from NumPy and the first output back to it,
state on the GPU. `step` is a launch a tick; `run` many ticks a launch, for which the peers, stepped from Python, have
no counterpart. One network is measured at several firing rates as well. The limit is the bytes that a tick must read,
by the GPU's own bandwidth. Writes `results/gpu.json` and `results/gpu.md`, or only prints what a part of it gives.
Where there is no GPU it says so and measures nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from functools import partial
from time import perf_counter_ns
from typing import Any

import numpy as np
import torch

import astroedge
from astroedge.errors import TargetError
from astroedge.step.graph import StepGraph
from astroedge.targets.boards.gpus import Gpu, find_gpus
from benchmarks.networks.subjects import Subject, make_subject
from benchmarks.networks.suite import HEADLINE_RATE, SUITE, Array
from benchmarks.peers import on_gpu
from benchmarks.peers.work import Tick, Work
from benchmarks.places import RESULTS
from benchmarks.report.markdown import firing_range, microseconds, percent, table, times
from benchmarks.timing.contenders import Microseconds, OwnRun, OwnStep, Ticker
from benchmarks.timing.limits import touched_bytes
from benchmarks.timing.machine import describe
from benchmarks.timing.turns import FULL, QUICK, Plan, attempt, take_turns

STREAMS = (1, 64, 1024)
SWEPT, RATES = "alif-shd", (0.01, 0.05, 0.20)
TICKS, EXAMPLES = 256, 4
SEED = 5
OWN = ("astroedge step", "astroedge run")


def main() -> None:
    """Measure what was asked for, print it, and write it if it is everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(SUITE), choices=list(SUITE), metavar="NAME")
    parser.add_argument("--streams", nargs="+", type=int, default=list(STREAMS), metavar="N")
    parser.add_argument("--quick", action="store_true", help="short blocks: to see whether it runs")
    arguments = parser.parse_args()
    try:
        gpu = find_gpus()[0]
    except TargetError as error:
        print(error)
        return
    plan = QUICK if arguments.quick else FULL
    cases = [(name, HEADLINE_RATE, streams) for name in arguments.networks for streams in arguments.streams]
    cases += [(SWEPT, rate, 1) for rate in RATES if SWEPT in arguments.networks]
    failed: dict[str, str] = {}
    rows = []
    for name, rate, streams in cases:
        measured = partial(measure, name, rate, streams, gpu, plan)
        rows.append(attempt(f"{name}, {streams} streams, {rate:.0%}", failed, measured))
    report = {"machine": describe(), "gpu": vars(gpu), "failed": failed, "networks": [row for row in rows if row]}
    print("\n".join(render(report)))
    if (arguments.networks, arguments.streams, arguments.quick) == (list(SUITE), list(STREAMS), False):
        (RESULTS / "gpu.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        (RESULTS / "gpu.md").write_text("\n".join(["# On a GPU", "", *render(report)]) + "\n", encoding="utf-8")


def measure(name: str, rate: float, streams: int, gpu: Gpu, plan: Plan) -> dict[str, Any]:
    """Microseconds of a tick of all streams in every runtime, medians, and what the tick must read."""
    subject = make_subject(name, rate, 1)
    inputs = SUITE[name].draw(np.random.default_rng(SEED), TICKS, streams, rate)
    graph, state = with_streams(subject, streams, inputs)
    print(f"{name}: {streams} streams, compiling", flush=True)
    bundle = astroedge.compile(graph, "cuda")
    work = Work(name, graph, subject.step, tuple(state), {}, 1, on_gpu.__name__)
    missing: dict[str, str] = {}
    with astroedge.load(bundle) as stepped, astroedge.load(bundle) as run:
        tickers: dict[str, Ticker] = {OWN[0]: OwnStep(stepped), OWN[1]: OwnRun(run)}
        for peer, start in on_gpu.PEERS.items():
            tick = attempt(peer, missing, partial(start, work))
            if tick is not None:
                tickers[peer] = PeerTicker(tick)
        turns = take_turns(tickers, inputs, plan)
        rates = {item: count.firing_rate for item, count in stepped.activity().items()}
        touched = touched_bytes(stepped.manifest, rates)
    medians = {item: float(np.median(np.concatenate(rounds))) for item, rounds in turns.times.items()}
    return {
        "name": name,
        "rate": subject.rate,
        "streams": streams,
        "microseconds": medians,
        "missing": {**missing, **turns.missing},
        "touched_bytes": touched,
        "limit_microseconds": touched / gpu.bandwidth_bytes * 1e6 if gpu.bandwidth_bytes else None,
        "firing_rates": rates,
    }


def with_streams(
    subject: Subject, streams: int, inputs: Mapping[str, Array]
) -> tuple[StepGraph, Sequence[torch.Tensor]]:
    """The subject's graph and initial state for so many streams."""
    if streams == 1:
        return subject.graph, subject.state
    make_state: Any = subject.step.initial_state
    state = make_state(streams)
    ticks = [tuple(torch.from_numpy(values[tick]) for values in inputs.values()) for tick in range(EXAMPLES)]
    graph = astroedge.export(subject.step, ticks[0], tuple(state), name=subject.name, examples=ticks)
    return graph, state


class PeerTicker:
    """A peer that is timed tick by tick; each ends when its output is back."""

    def __init__(self, tick: Tick) -> None:
        self.tick = tick

    def time_block(self, inputs: dict[str, Array]) -> Microseconds:
        """A time for each tick."""
        samples = []
        for row in zip(*inputs.values(), strict=True):
            begin = perf_counter_ns()
            self.tick(row)
            samples.append(perf_counter_ns() - begin)
        return np.array(samples) / 1e3


def best_peer(record: Mapping[str, Any]) -> tuple[str, float] | None:
    """The fastest of the others and its time; None where none ran."""
    others = {name: value for name, value in record["microseconds"].items() if name not in OWN}
    return min(others.items(), key=lambda item: item[1]) if others else None


def render(report: Mapping[str, Any]) -> list[str]:
    """The report as lines of Markdown."""
    machine, gpu, rows = report["machine"], report["gpu"], []
    for record in report["networks"]:
        own, best = [record["microseconds"].get(name) for name in OWN], best_peer(record)
        limit = record["limit_microseconds"]
        rows.append(
            [
                record["name"],
                f"{record['streams']:,}",
                firing_range(record["firing_rates"].values()),
                *map(microseconds, own),
                "–" if best is None else f"{microseconds(best[1])} ({best[0]})",
                *(times(best[1] / value if best and value else None) for value in own),
                percent(limit / own[1] if limit and own[1] else None),
            ]
        )
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    reasons = {reason: name for record in report["networks"] for name, reason in record["missing"].items()}
    header = ["network", "streams", "firing", "step", "run", "best other", "ratio, step", "ratio, run", "of bandwidth"]
    return [
        f"Made by `make bench-gpu` on {gpu['name']} (sm_{gpu['capability']}, {gpu['multiprocessors']} multiprocessors, "
        f"{gpu['bandwidth_bytes'] / 1e9:.0f} GB/s) with {machine['cpu']}; {versions}. Microseconds of a tick of all "
        "streams, medians of ticks that take turns; *of bandwidth* is the share of the GPU's that `run` reaches with "
        "the bytes a tick must read.",
        "",
        *table(header, rows),
        *(f"\n{name} is missing: {reason}" for reason, name in reasons.items()),
        *(f"\n{name} failed: {reason}" for name, reason in report["failed"].items()),
    ]


if __name__ == "__main__":
    main()
