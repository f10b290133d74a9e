"""How fast published networks are beside ONNX Runtime, one tick on one core, each at its own firing rates.

    make bench-networks        or        python -m benchmarks.studies.networks [--networks NAME …] [--onnx FILE …]

Weights are random; every spiking layer fires at the rate of `benchmarks/networks/published.py`. AstroEdge and ONNX
Runtime, on one thread each, take turns on the same inputs, their states carried from tick to tick; compared is the
processor time of a tick, the median of all. `--onnx` adds step graphs as `astroedge export` writes them, on drawn
inputs. Writes `results/networks.json` and the table in `docs/benchmarks.md`; with some networks only, or others, it
only prints.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import process_time, thread_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.errors import AstroEdgeError
from astroedge.runtimes.checking.golden import draw_inputs
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.step.graph import StepGraph
from astroedge.targets import compile_step, link_bundle
from astroedge.targets.boards.target import resolve_target
from benchmarks.networks.published import EVENTS, IMAGES, PUBLISHED, make
from benchmarks.peers import onnx_runtime
from benchmarks.peers.work import Tick, Work
from benchmarks.places import REPOSITORY, RESULTS
from benchmarks.report.documents import put_into
from benchmarks.report.markdown import firing_range, microseconds, millions, table
from benchmarks.timing.machine import describe

Array = NDArray[Any]
SECONDS, FEWEST, MOST = 8.0, 12, 600  # of a network's turns; how many
TICKS = 4  # of a turn, of which the first brings the weights back into the caches and does not count
DRAWN = 12
PAGE, COMMAND = REPOSITORY / "docs" / "benchmarks.md", "make bench-networks"


def main() -> None:
    """Time every network, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="*", default=list(PUBLISHED), choices=list(PUBLISHED), metavar="NAME")
    parser.add_argument("--onnx", nargs="*", default=[], type=Path, metavar="FILE", help="step graphs to time as well")
    arguments = parser.parse_args()
    machine = describe()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    rows = [row for name in arguments.networks if (row := attempt(name, partial(published, name)))]
    rows += [row for path in arguments.onnx if (row := attempt(path.name, partial(from_file, path)))]
    report = {"machine": machine, "threads": 1, "networks": rows}
    print("\n".join(render(report)))
    if arguments.networks == list(PUBLISHED) and not arguments.onnx and len(rows) == len(PUBLISHED):
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "networks.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        put_into(PAGE, render(report), COMMAND)


def attempt(name: str, measured: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """The record of a network; None, with the reason printed, for one that cannot be measured here."""
    try:
        record = {"name": name, **measured()}
    except (AstroEdgeError, ImportError, OSError) as error:
        print(f"{name}: {error}", flush=True)
        return None
    print(f"{name}: {record['onnxruntime'] / record['astroedge']:.2f}", flush=True)
    return record


def published(name: str) -> dict[str, Any]:
    """The record of a network of `PUBLISHED`."""
    graph, weights, ticks = make(PUBLISHED[name])
    names = [item.name for item in graph.spec.inputs]
    return measure(graph, [dict(zip(names, (x.numpy() for x in tick), strict=True)) for tick in ticks], weights)


def from_file(path: Path) -> dict[str, Any]:
    """The record of a step graph in a file."""
    graph = StepGraph.load(path)
    weights = sum(int(np.prod(item.dims)) for item in graph.model.graph.initializer)
    return measure(graph, None, weights)


def measure(graph: StepGraph, inputs: Sequence[Mapping[str, Array]] | None, weights: int) -> dict[str, Any]:
    """Microseconds of a tick both ways, seconds of compiling, firing rates, and how both agree on the first tick.

    Without `inputs` they are drawn as for a golden trace.
    """
    bundle, compile_seconds = build(graph)
    with astroedge.load(bundle, threads=1) as session:
        if inputs is None:
            drawn = draw_inputs(session.manifest.layout.inputs, 0, 0, DRAWN)
            inputs = [{name: values[tick] for name, values in drawn.items()} for tick in range(DRAWN)]
        work = Work("network", graph, nn.Identity(), (), {}, 1, onnx_runtime.__name__)
        reference = onnx_runtime.start(work)
        disagreeing = first_tick(session, reference, inputs[0])
        ours, theirs = take_turns(session, reference, inputs)
        counts = session.activity()
        rates = {
            item.name: round(counts[item.name].firing_rate, 4) for item in graph.spec.spikes if item.name in counts
        }
        kernels = [matrix.kernel for matrix in session.manifest.matrices]
    return {
        "weights": weights,
        "astroedge": float(np.median(ours) * 1e6),
        "onnxruntime": float(np.median(theirs) * 1e6),
        "least": {"astroedge": min(ours) * 1e6, "onnxruntime": min(theirs) * 1e6},
        "turns": len(ours) // (TICKS - 1),
        "compile_seconds": round(compile_seconds, 1),
        "firing_rates": rates,
        "kernels": {kind: kernels.count(kind) for kind in sorted(set(kernels))},
        "disagreeing": disagreeing,
    }


def build(graph: StepGraph) -> tuple[Bundle, float]:
    """The bundle, without the checks of `astroedge.compile`, and the processor time it took, the linker's included."""
    target = resolve_target("native")
    with processor_seconds() as spent:
        bundle = link_bundle(compile_step(graph, target, math="exact", kernels="auto", probes=False), target)
    return bundle, spent[0]


@contextmanager
def processor_seconds() -> Iterator[list[float]]:
    """What this process and its children compute in the `with` block, in a list when it has ended."""
    spent: list[float] = []
    begin, children = process_time(), os.times()
    yield spent
    after = os.times()
    linking = after.children_user + after.children_system - children.children_user - children.children_system
    spent.append(process_time() - begin + linking)


def first_tick(session: CompiledSession, reference: Tick, inputs: Mapping[str, Array]) -> float:
    """The share of the first output's elements that differ by more than rounding after one tick from the start.

    A spike may fall on either side of its threshold, so there may be some.
    """
    own = np.array(next(iter(session.step(**inputs).values())))
    other = reference([inputs[item.name] for item in session.spec.inputs])
    return float(np.mean(~np.isclose(own, other, rtol=1e-3, atol=1e-3)))


def take_turns(
    session: CompiledSession, reference: Tick, inputs: Sequence[Mapping[str, Array]]
) -> tuple[list[float], list[float]]:
    """Seconds of single ticks of both, whose turns follow one another on the same inputs."""
    rows = [[tick[item.name] for item in session.spec.inputs] for tick in inputs]
    times: tuple[list[float], list[float]] = ([], [])
    begin, turn = thread_time(), 0
    while turn < FEWEST or (turn < MOST and thread_time() - begin < SECONDS):
        chosen = [(turn * TICKS + index) % len(inputs) for index in range(TICKS)]
        times[0].extend(timed(lambda index: session.step(**inputs[index]), chosen))
        times[1].extend(timed(lambda index: reference(rows[index]), chosen))
        turn += 1
    return times


def timed(tick: Callable[[int], object], chosen: Sequence[int]) -> list[float]:
    """Processor seconds of each tick but the first."""
    times = []
    for index in chosen:
        begin = thread_time()
        tick(index)
        times.append(thread_time() - begin)
    return times[1:]


def render(report: Mapping[str, Any]) -> list[str]:
    """The report as lines of Markdown."""
    machine = report["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    rows = [
        [
            record["name"],
            millions(record["weights"]),
            firing_range(record["firing_rates"].values()),
            microseconds(record["astroedge"]),
            microseconds(record["onnxruntime"]),
            f"**{record['onnxruntime'] / record['astroedge']:.2f}×**",
            f"{record['compile_seconds']:.0f} s",
        ]
        for record in report["networks"]
    ]
    return [
        f"Made by `make bench-networks` on {machine['cpu']} ({machine['cores']} cores, {machine['kernel']}), one core; "
        f"{versions}. Microseconds of processor time a tick, medians of ticks that take turns. Weights are random; "
        f"thresholds are set so that layers fire at {IMAGES:.0%} where a network reads images and {EVENTS:.0%} where "
        "it reads events; *firing* is what spike tensors then did. *Compile* is processor time without the checks.",
        "",
        *table(["network", "weights", "firing", "AstroEdge", "ONNX Runtime", "ratio", "compile"], rows),
    ]


if __name__ == "__main__":
    main()
