"""Many streams on one machine: a pool beside sessions in turn and beside one step that carries them all.

    make bench-streams        or        python -m benchmarks.studies.streams [--networks NAME …] [--streams N …]

A network of the suite is stepped for N streams in four ways that take turns: N sessions one after the other, a pool of
N on one thread, a pool on all cores, and a step exported for a batch of N (`--batch N`), one thread. All see the same
inputs. Times are those of the processor, on all cores those of the clock, and the least of the rounds, since what
disturbs a run only makes it longer. Writes `results/streams.json` and the tables in `docs/many-streams.md`; with some
networks or other numbers of streams, or where others used the cores meanwhile, it only prints.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter_ns, thread_time_ns
from typing import Any

import numpy as np
import torch

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.runtimes.profiling.doubts import OTHERS
from astroedge.runtimes.profiling.machine_watch import MachineWatch, usable_cores
from astroedge.step.graph import StepGraph
from benchmarks.networks.subjects import Subject, make_subject
from benchmarks.networks.suite import HEADLINE_RATE, SUITE, Array
from benchmarks.places import REPOSITORY, RESULTS
from benchmarks.report.documents import put_into
from benchmarks.report.markdown import table
from benchmarks.studies.kernels import build
from benchmarks.timing.machine import describe

NETWORKS = ("lif-tiny", "gru-keywords", "spiking-rwkv-25m")
PRECISIONS = {"float32": "fp32", "int8": "int8"}
STREAMS = (1, 4, 16, 64)
ROUNDS, BLOCK_NANOSECONDS = 11, 15e6
TICKS = 32
SESSIONS, POOL, POOL_ALL, BATCH = "sessions in turn", "pool, 1 thread", "pool, all cores", "batch"
PAGE, COMMAND = REPOSITORY / "docs" / "many-streams.md", "make bench-streams"

# One process that opens a pool beside a session, which has the weights: bytes that it then has more of its own.
MEMORY = """
import sys
import numpy as np, astroedge
def own():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))
def tick(pool):
    inputs = pool.manifest.layout.inputs
    return pool.step(**{item.name: np.zeros((len(pool), *item.shape), item.dtype) for item in inputs})
session = astroedge.load(sys.argv[1], threads=1)
one = astroedge.load_pool(sys.argv[1], 1)
tick(one)
before = own()
pool = astroedge.load_pool(sys.argv[1], int(sys.argv[2]), threads=1)
tick(pool)
print(own() - before)
"""
Tick = Callable[[int], object]
"""Makes tick number i of all streams."""


def main() -> None:
    """Measure what was asked for, print the tables, and write them if they are everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(SUITE), metavar="NAME")
    parser.add_argument("--streams", nargs="+", type=int, default=list(STREAMS), metavar="N")
    arguments = parser.parse_args()
    watch, records = MachineWatch(), []
    for name in arguments.networks:
        print(f"{name}: measuring", flush=True)
        subject = make_subject(name, ticks=TICKS)
        batches = {count: batched(subject, count) for count in arguments.streams}
        records += [measure(subject, precision, batches) for precision in PRECISIONS]
    others = watch.others()
    report = {"machine": describe(), "networks": records}
    print("\n".join(render(report)))
    if others is not None and others[0] > OTHERS * len(usable_cores()):
        print("\nNot written: others used the cores. Measure again on a machine that does nothing else.")
    elif (arguments.networks, arguments.streams) == (list(NETWORKS), list(STREAMS)):
        (RESULTS / "streams.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        put_into(PAGE, render(report), COMMAND)


def measure(subject: Subject, precision: str, batches: Mapping[int, StepGraph]) -> dict[str, Any]:
    """Nanoseconds of a tick of one stream by number of streams and way, and the memory of a stream.

    `batches` are the network's graphs for so many streams in one step.
    """
    bundle = build(subject.graph, precision, "auto")
    times: dict[int, dict[str, float]] = {}
    for count, graph in batches.items():
        batch = build(graph, precision, "auto")
        inputs = SUITE[subject.name].draw(np.random.default_rng(3), TICKS, count, HEADLINE_RATE)
        with ExitStack() as held:
            times[count] = take_turns(ways(bundle, batch, inputs, count, held), count)
    layout = bundle.manifest.layout
    return {
        "name": subject.name,
        "precision": PRECISIONS[precision],
        "nanoseconds": times,
        "bytes": {
            "weights": layout.weights_size,
            "state": layout.state_size,
            "workspace": layout.workspace_size,
            "stream": stream_bytes(bundle, 200),
        },
    }


def batched(subject: Subject, count: int) -> StepGraph:
    """The network for `count` streams in one step, whose spikes fire as often as those of one."""
    first = {name: torch.from_numpy(array[0]) for name, array in subject.examples.items()}
    inputs = tuple(tensor.expand(count, *tensor.shape[1:]).contiguous() for tensor in first.values())
    state = tuple(subject.step.initial_state(count))  # type: ignore[operator]  # every model of the suite has it
    graph = astroedge.export(subject.step, inputs, state, name=f"{subject.name}-{count}", check_ticks=1)
    rates = {spike.name: spike.firing_rate for spike in subject.graph.spec.spikes}
    spikes = tuple(replace(spike, firing_rate=rates.get(spike.name, spike.firing_rate)) for spike in graph.spec.spikes)
    return StepGraph(graph.model, replace(graph.spec, spikes=spikes))


def ways(bundle: Bundle, batch: Bundle, inputs: Mapping[str, Array], count: int, held: ExitStack) -> dict[str, Tick]:
    """Every way of making a tick of `count` streams; `inputs` are arrays `(ticks, streams, …)`."""
    sessions = [held.enter_context(astroedge.load(bundle, threads=1)) for _ in range(count)]
    pool, together = (
        held.enter_context(astroedge.load_pool(bundle, count, threads=threads)) for threads in (1, len(usable_cores()))
    )
    session = held.enter_context(astroedge.load(batch, threads=1))
    rows = [{name: array[tick] for name, array in inputs.items()} for tick in range(TICKS)]
    pooled = [{name: array[:, None] for name, array in row.items()} for row in rows]
    alone = [[{name: array[one : one + 1] for name, array in row.items()} for one in range(count)] for row in rows]

    def in_turn(tick: int) -> None:
        for one, given in zip(sessions, alone[tick], strict=True):
            one.step(**given)

    return {
        SESSIONS: in_turn,
        POOL: lambda tick: pool.step(**pooled[tick]),
        POOL_ALL: lambda tick: together.step(**pooled[tick]),
        BATCH: lambda tick: session.step(**rows[tick]),
    }


def take_turns(ticks: Mapping[str, Tick], count: int) -> dict[str, float]:
    """Nanoseconds of a tick of one stream in each way, the least of the rounds."""
    blocks = {}
    for way, tick in ticks.items():
        tick(0)
        begin = perf_counter_ns()
        tick(1)
        blocks[way] = max(2, min(2000, round(BLOCK_NANOSECONDS / (perf_counter_ns() - begin))))
    found: dict[str, list[float]] = {way: [] for way in ticks}
    for _ in range(ROUNDS):
        for way, tick in ticks.items():
            clock = perf_counter_ns if way == POOL_ALL else thread_time_ns
            begin = clock()
            for number in range(blocks[way]):
                tick(number % TICKS)
            found[way].append((clock() - begin) / blocks[way] / count)
    return {way: round(min(times), 1) for way, times in found.items()}


def stream_bytes(bundle: Bundle, count: int) -> int:
    """What a further stream of a pool adds to a process's own memory, after a tick."""
    with TemporaryDirectory() as folder:
        bundle.save(Path(folder) / "net.astro")
        command = [sys.executable, "-c", MEMORY, str(Path(folder) / "net.astro"), str(count)]
        result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return round(int(result.stdout) / count)


def render(report: Mapping[str, Any]) -> list[str]:
    """The report as lines of Markdown: a table of all ways, one of batches, one of memory."""
    machine = report["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [
        f"Made by `{COMMAND}` on {machine['cpu']} ({machine['cores']} cores, {machine['kernel']}); {versions}. Ticks "
        "of all streams together, thousands a second, called from Python through `step`; in brackets, how many times "
        "those of as many sessions in turn.",
        "",
    ]
    header = ["network", "precision", "streams", SESSIONS, POOL, POOL_ALL, BATCH]
    rows = [
        [SUITE[record["name"]].title, record["precision"], str(count), *_cells(times)]
        for record in report["networks"]
        for count, times in record["nanoseconds"].items()
    ]
    lines += [*table(header, rows), "", "Memory:", ""]
    header = [
        "network",
        "precision",
        "weights, once",
        "a stream's state",
        "its workspace",
        "a stream of a pool, measured",
    ]
    rows = []
    for record in report["networks"]:
        nbytes = record["bytes"]
        sizes = [f"{nbytes[name] / 1024:,.1f} KiB" for name in ("weights", "state", "workspace", "stream")]
        rows.append([SUITE[record["name"]].title, record["precision"], *sizes])
    return [*lines, *table(header, rows)]


def _cells(times: Mapping[str, float]) -> list[str]:
    base = times[SESSIONS]
    others = [f"{_thousands(times[way])} ({base / times[way]:.2f}×)" for way in (POOL, POOL_ALL, BATCH)]
    return [_thousands(base), *others]


def _thousands(nanoseconds: float) -> str:
    """Ticks a second of all streams."""
    value = 1e6 / nanoseconds
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.3g}"


if __name__ == "__main__":
    main()
