"""What equal bits on every processor cost: each network compiled with exact and with fast math, ticking in turns.

    make bench-exactness        or        python -m benchmarks.studies.exactness_cost

Fast math is free to contract `a * b + c` into one rounding; functions and the order of additions are the same. Writes
`results/exactness_cost.json` and `results/exactness_cost.md` beside this file.
"""

from __future__ import annotations

import argparse
import json
from time import perf_counter_ns
from typing import Any

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.step.graph import StepGraph
from astroedge.targets import compile_step, link_bundle, quantise
from astroedge.targets.boards.target import resolve_target
from benchmarks.networks.subjects import make_subject
from benchmarks.networks.suite import SUITE
from benchmarks.places import RESULTS
from benchmarks.timing.machine import describe

NETWORKS = {"astrosnn-demo": 200, "gru-keywords": 100, "spiking-rwkv-25m": 5}  # ticks of a turn
PRECISIONS = ("float32", "int8")
ROUNDS = 300


def main() -> None:
    """Measure, print the table and write both files."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    rows = [measure(name, precision) for name in NETWORKS for precision in PRECISIONS]
    report = {"machine": describe(), "networks": rows}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "exactness_cost.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "exactness_cost.md").write_text(render(report), encoding="utf-8")
    print(render(report))


def measure(name: str, precision: str) -> dict[str, Any]:
    """Microseconds of a tick with each kind of math in the fastest of the turns they take, and their ratio."""
    subject = make_subject(name, ticks=NETWORKS[name])
    exact, fast = (astroedge.load(build(subject.graph, precision, math), threads=1) for math in ("exact", "fast"))
    with exact, fast:
        turns = [(time_run(exact, subject.inputs), time_run(fast, subject.inputs)) for _ in range(ROUNDS)]
    fastest = [round(min(times), 2) for times in zip(*turns, strict=True)]
    return {
        "network": SUITE[name].title,
        "precision": precision,
        "exact_microseconds": fastest[0],
        "fast_microseconds": fastest[1],
        "exact_over_fast": round(fastest[0] / fastest[1], 3),
    }


def build(graph: StepGraph, precision: str, math: str) -> Bundle:
    """A bundle for this machine, without the checks and the golden trace of `astroedge.compile`."""
    target = resolve_target("native")
    stored = quantise(graph, precision)
    step = compile_step(stored.graph, target, math=math, kernels="auto", probes=False, weights=stored.weights)
    return link_bundle(step, target)


def time_run(session: CompiledSession, inputs: dict[str, Any]) -> float:
    """Microseconds a tick of one native run; the one before it brings the weights back into the cache."""
    session.run(**inputs)
    begin = perf_counter_ns()
    session.run(**inputs)
    return (perf_counter_ns() - begin) / len(next(iter(inputs.values()))) / 1e3


def render(report: dict[str, Any]) -> str:
    """The report as a Markdown table."""
    machine = report["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [
        "# The cost of exactness",
        "",
        f"Made by `make bench-exactness` on {machine['cpu']} ({machine['cores']} cores, {machine['kernel']}), one "
        f"thread; {versions}. Microseconds of a native tick in the fastest of {ROUNDS} turns.",
        "",
        "| network | weights | exact | fast | exact ÷ fast |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['network']} | {row['precision']} | {row['exact_microseconds']:.1f} | {row['fast_microseconds']:.1f} | "
        f"{row['exact_over_fast']:.3f} |"
        for row in report["networks"]
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
