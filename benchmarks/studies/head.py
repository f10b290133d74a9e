"""What a head of 50,000 words costs: the ticks of two AstroSNNs that differ in it take turns.

    python -m benchmarks.studies.head [--words 50000]

Both are 2,048 wide and of one layer with random weights; the other has 256 words. What a tick of the first takes longer
is the head's: every one of its weights is read at every tick, however few neurons fire. Its bytes are those of the
weights, without their scales. Prints a table and writes it to `results/head.json`; with another number of words it only
prints.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from contextlib import ExitStack
from time import perf_counter_ns
from typing import Any

import numpy as np
import torch

import astroedge
from astroedge.models import AstroSNN, AstroSNNConfig, AstroSNNStep
from astroedge.replace_file import replace_file
from astroedge.step.graph import StepGraph
from benchmarks.places import RESULTS
from benchmarks.report.markdown import table
from benchmarks.studies.kernels import build
from benchmarks.timing.bandwidth import bandwidth_at, measure_bandwidth
from benchmarks.timing.machine import describe
from benchmarks.timing.settings import CORES

WIDTH, WORDS, FEW_WORDS = 2048, 50_000, 256
PRECISIONS = {"float32": 32, "int8": 8, "int4": 4}  # and the bits of a weight
EXAMPLES, ROUNDS, TICKS = 64, 21, 16


def main() -> None:
    """Measure, print the table, and write it if it is the one of the documentation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=int, default=WORDS)
    words = parser.parse_args().words
    if words <= FEW_WORDS:
        parser.error(f"--words must be more than {FEW_WORDS}")
    graphs = {count: network(count) for count in (FEW_WORDS, words)}
    report = {"machine": describe(), "words": words, "width": WIDTH, "heads": measure(graphs)}
    print("\n".join(render(report)))
    if words == WORDS:
        replace_file(RESULTS / "head.json", (json.dumps(report, indent=1) + "\n").encode())


def network(words: int) -> StepGraph:
    """An AstroSNN of one layer whose matrices but embedding and head do not depend on `words`."""
    config = AstroSNNConfig(words, WIDTH, WIDTH // 64, WIDTH, 1, shortest_memory=4.0, longest_memory=32.0, dropout=0.0)
    torch.manual_seed(0)
    step = AstroSNNStep(AstroSNN(config)).eval()
    examples = [(torch.tensor([token]),) for token in np.random.default_rng(2).integers(0, FEW_WORDS, EXAMPLES)]
    return astroedge.export(step, examples[0], step.initial_state(1), name=f"head-{words}", examples=examples)


def measure(graphs: Mapping[int, StepGraph]) -> list[dict[str, Any]]:
    """What the larger head takes more, by precision and threads; a second thread where there is one."""
    threads = sorted({1, CORES})
    sizes = {precision: WIDTH * max(graphs) * bits // 8 for precision, bits in PRECISIONS.items()}
    reads = {count: measure_bandwidth(tuple(sorted({*sizes.values()})), count) for count in threads}
    records = []
    for precision in PRECISIONS:
        bundles = {words: build(graph, precision, "auto") for words, graph in graphs.items()}
        for count in threads:
            with ExitStack() as held:
                sessions = {
                    words: held.enter_context(astroedge.load(bundle, threads=count))
                    for words, bundle in bundles.items()
                }
                few, many = (sorted(times) for times in take_turns(sessions).values())
            records.append(
                {
                    "precision": precision,
                    "threads": count,
                    "milliseconds": (many[ROUNDS // 2] - few[ROUNDS // 2]) / 1e6,
                    "tick_of_few_words": few[ROUNDS // 2] / 1e6,
                    "bytes": sizes[precision],
                    "bandwidth_gb_per_s": round(bandwidth_at(reads[count], sizes[precision]), 1),
                }
            )
    return records


def take_turns(sessions: Mapping[int, Any]) -> dict[int, list[float]]:
    """Nanoseconds of a tick of every session, of each round; inputs are words that all know."""
    tokens = [np.array([token]) for token in np.random.default_rng(3).integers(0, FEW_WORDS, TICKS)]
    times: dict[int, list[float]] = {words: [] for words in sorted(sessions)}
    for _ in range(ROUNDS):
        for words in times:
            begin = perf_counter_ns()
            for token in tokens:
                sessions[words].step(token=token)
            times[words].append((perf_counter_ns() - begin) / TICKS)
    return times


def render(report: Mapping[str, Any]) -> list[str]:
    """The report as a table: time, size, and how near the head is to reading its weights at the speed of memory."""
    rows = [
        [
            item["precision"],
            str(item["threads"]),
            f"{item['bytes'] / 1e6:.0f} MB",
            f"{item['milliseconds']:.2f} ms",
            f"{item['bytes'] / item['milliseconds'] / 1e6:.1f} GB/s",
            f"{item['bytes'] / item['milliseconds'] / 1e6 / item['bandwidth_gb_per_s']:.0%}",
        ]
        for item in report["heads"]
    ]
    return table(["head", "threads", "weights", "time a tick", "read at", "of the limit"], rows)


if __name__ == "__main__":
    main()
