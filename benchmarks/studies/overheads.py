"""What a tick and a load cost beyond the arithmetic: the C interface, the Python runtime, starting up.

    make bench-overheads        or        python -m benchmarks.studies.overheads

A layer of 64 neurons is ticked in four ways that take turns: its kernels alone in a loop in C, through `astro_run`,
through `Session.run` and through `Session.step`; the differences are what each layer adds. The example language model
is started in fresh processes, and a layer with large weights is loaded in each of the ways there are. Writes
`results/overheads.json` and `results/overheads.md` beside this file.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter_ns
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import astroedge
from astroedge.abi.layout import AstroCall
from astroedge.models import load_checkpoint
from astroedge.models.astrosnn import AstroSNNStep
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.runtimes.session.input_slot import Records
from astroedge.step.graph import StepGraph
from astroedge.targets import compile_step
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.link.linker import find_linker, run_compiler
from benchmarks.places import CHECKPOINT, REPOSITORY, RESULTS
from benchmarks.timing.machine import describe

NEURONS, RATE, TICKS = 64, 0.1, 10_000
ROUNDS, CALLS = 200, 50
STARTS = 15
WIDE = 4096  # inputs and neurons of a layer with weights of 64 MiB

# The compiled tick, called in a loop on the same records as `astro_run`, without any of its checks.
LOOP = """
#include <stdint.h>
#include "astro_abi.h"
extern int32_t astroedge_tick(void *, void *, void *, void *, void *, uint64_t *);
void loop(const astro_call *call)
{
    for (uint64_t tick = 0; tick < call->steps; tick++)
        astroedge_tick((uint8_t *)call->inputs + tick * call->input_stride,
                       (uint8_t *)call->outputs + tick * call->output_stride, call->state, (void *)call->weights,
                       call->workspace, 0);
}
"""

# One process from its start: milliseconds of each stage.
START = """
import sys
from time import perf_counter_ns as now
begin = now()
import numpy; numpy_is_here = now()
import astroedge; astroedge.load; from astroedge.runtimes.session import compiled; imported = now()
session = astroedge.load(sys.argv[1]); loaded = now()
session.step(token=65); stepped = now()
again = astroedge.load(sys.argv[1]); again.step(token=65); end = now()
times = (begin, numpy_is_here, imported, loaded, stepped, end)
print(*((after - before) / 1e6 for before, after in zip(times, times[1:])))
"""
# One process that opens a bundle in several ways: milliseconds of its processor, and MiB of memory that is its own.
LOADS = """
import sys
from time import process_time_ns as now
import astroedge; astroedge.load; from astroedge.runtimes.session import compiled
def own():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 1024
def opened(bundle, **options):
    before, start = own(), now()
    session = astroedge.load(bundle, threads=1, **options)
    end = now()
    session.step(x=compiled.np.ones(session.spec.inputs[0].shape, compiled.np.float32))
    print((end - start) / 1e6, own() - before)
    return session
astroedge.load(sys.argv[2]).close()
first = opened(sys.argv[1])
second = opened(sys.argv[1])
third = opened(first.bundle)
mapped = opened(sys.argv[1], trust_weights=True)
"""
WAYS = ("by path", "by path, a session is open", "the open `Bundle`", "by path, `trust_weights=True`")
STAGES = ("import numpy", "import astroedge's runtime", "load", "first step", "load and first step again")


class Layer(nn.Module):
    """Leaky integrate-and-fire neurons that read spikes."""

    def __init__(self, neurons: int = NEURONS) -> None:
        super().__init__()
        self.linear = nn.Linear(neurons, neurons)

    def forward(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """One tick: inputs and membranes, both (1, neurons), to spikes and membranes."""
        membrane = 0.9 * v + 3.0 * self.linear(x)
        spikes = (membrane >= 1.0).float()
        return spikes, membrane - spikes


def main() -> None:
    """Measure, print the tables and write both files."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    report = {
        "machine": describe(),
        "tick_nanoseconds": measure_ticks(),
        "start_milliseconds": measure_starts(),
        "loads": measure_loads(),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "overheads.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "overheads.md").write_text(render(report), encoding="utf-8")
    print(render(report))


def layer(neurons: int = NEURONS, ticks: int = 200) -> StepGraph:
    """The layer as a step graph, its spikes and its input measured at about `RATE` over `ticks`."""
    torch.manual_seed(0)
    x, v = spikes(ticks, neurons), torch.zeros(1, neurons)
    examples = [(torch.from_numpy(row),) for row in x]
    return astroedge.export(Layer(neurons).eval(), examples[0], (v,), examples=examples)


def spikes(ticks: int, neurons: int = NEURONS) -> NDArray[np.float32]:
    """Input of `ticks` ticks, (ticks, 1, neurons)."""
    return (np.random.default_rng(0).random((ticks, 1, neurons)) < RATE).astype(np.float32)


def measure_ticks() -> dict[str, float]:
    """Nanoseconds of a tick of the layer, by how it is called; each the median of rounds that take turns."""
    graph, x = layer(), spikes(TICKS)
    with astroedge.load(astroedge.compile(graph)) as session, TemporaryDirectory() as folder:
        records = Records(session.manifest.layout.inputs_size, TICKS)
        results = Records(session.manifest.layout.outputs_size, TICKS)
        field = session.manifest.layout.inputs[0]
        records.field(field, x[0])[...] = x
        call = AstroCall.from_buffer_copy(session._call)
        call.inputs, call.outputs, call.steps = records.address, results.address, TICKS
        call.input_stride, call.output_stride = records.size, results.size
        reference = ctypes.byref(call)
        loop = link_loop(graph, Path(folder))
        first, one, out = x[0], x[:1], {session.spec.outputs[0].name: np.empty((1, NEURONS), np.float32)}
        ways: dict[str, tuple[Callable[[], object], int, int]] = {
            "kernels alone": (lambda: loop(reference), 1, TICKS),
            "astro_run": (lambda: session._native_run(reference), 1, TICKS),
            "Session.run": (lambda: session.run(x=x), 1, TICKS),
            "astro_step through ctypes": (lambda: session._native_step(session._call_reference), CALLS, 1),
            "Session.step": (lambda: session.step(x=first), CALLS, 1),
            "Session.step with out=": (lambda: session.step(x=first, out=out), CALLS, 1),
            "Session.run of one tick": (lambda: session.run(x=one), CALLS, 1),
        }
        rounds = [{name: time_calls(*way) for name, way in ways.items()} for _ in range(ROUNDS)]
        assert_alive(session)
    return {name: round(float(np.median([times[name] for times in rounds])), 1) for name in ways}


def link_loop(graph: StepGraph, folder: Path) -> Callable[[Any], None]:
    """The layer's tick in a library of its own with a loop around it."""
    target = resolve_target("native")
    step = compile_step(graph, target, math="exact", kernels="auto", probes=False)
    (folder / "tick.o").write_bytes(step.code)
    (folder / "loop.c").write_text(LOOP, encoding="ascii")
    shutil.copy(REPOSITORY / "astroedge" / "abi" / "astro_abi.h", folder)
    arguments = ["-O2", "-fPIC", "-shared", "-I.", "loop.c", "tick.o", "-o", "loop.so"]
    run_compiler(find_linker(target), arguments, folder)
    loop: Callable[[Any], None] = ctypes.CDLL(str(folder / "loop.so")).loop
    return loop


def time_calls(call: Callable[[], object], calls: int, ticks: int) -> float:
    """Nanoseconds a tick over `calls` calls of `ticks` ticks each."""
    begin = perf_counter_ns()
    for _ in range(calls):
        call()
    return (perf_counter_ns() - begin) / (calls * ticks)


def assert_alive(session: CompiledSession) -> None:
    """A layer that is silent, or fires always, would be no measure."""
    for name, count in session.activity().items():
        if not 0.02 < count.firing_rate < 0.6:
            raise SystemExit(f"{name} fires at {count.firing_rate:.1%}; the benchmark is of no use.")


def measure_starts() -> dict[str, float]:
    """Milliseconds of each stage of starting the example language model, medians over fresh processes."""
    step = AstroSNNStep(load_checkpoint(CHECKPOINT))
    text = torch.from_numpy(np.frombuffer((REPOSITORY / "README.md").read_bytes(), np.uint8)[:200].astype(np.int64))
    graph = astroedge.export(step, (text[:1],), step.initial_state(), examples=[(byte,) for byte in text[:, None]])
    with TemporaryDirectory() as folder:
        bundle = Path(folder) / "demo.astro"
        astroedge.compile(graph).save(bundle)
        rows = []
        for _ in range(STARTS + 1):
            begin = perf_counter_ns()
            command = [sys.executable, "-c", START, str(bundle)]
            result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
            rows.append([*map(float, result.stdout.split()), (perf_counter_ns() - begin) / 1e6])
    medians = np.median(np.array(rows[1:]), axis=0)
    return {name: round(float(value), 2) for name, value in zip((*STAGES, "whole process"), medians, strict=True)}


def measure_loads() -> dict[str, Any]:
    """What a load costs by how it is done, medians over fresh processes: ms of the processor, MiB of its own memory."""
    with TemporaryDirectory() as folder:
        bundles = [Path(folder) / f"{neurons}.astro" for neurons in (WIDE, NEURONS)]
        for bundle, neurons in zip(bundles, (WIDE, NEURONS), strict=True):
            astroedge.compile(layer(neurons, 20)).save(bundle)
        command = [sys.executable, "-c", LOADS, *map(str, bundles)]
        results = [
            subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True) for _ in range(STARTS)
        ]
    rows = np.median([np.array(result.stdout.split(), float).reshape(-1, 2) for result in results], axis=0)
    ways = {
        way: {"milliseconds": round(float(time), 2), "mebibytes": round(float(memory), 1)}
        for way, (time, memory) in zip(WAYS, rows, strict=True)
    }
    return {"cpu": describe()["cpu"], "ways": ways}


def render(report: dict[str, Any]) -> str:
    """The report as Markdown tables."""
    machine, tick, start = report["machine"], report["tick_nanoseconds"], report["start_milliseconds"]
    native = tick["astro_run"]
    lines = [
        "# Overheads",
        "",
        f"Made by `make bench-overheads` on {machine['cpu']} ({machine['cores']} cores, {machine['kernel']}); "
        f"{', '.join(f'{name} {version}' for name, version in machine['versions'].items())}. Medians.",
        "",
        f"A layer of {NEURONS} neurons on {NEURONS} inputs of which {RATE:.0%} fire, nanoseconds a tick. *Kernels "
        "alone* is the compiled tick in a loop in C, without the checks of its inputs, the floating-point mode and the "
        f"stop flag; `run` takes {TICKS:,} ticks a call.",
        "",
        "| called by | ns a tick | beyond the kernels | beyond `astro_run` |",
        "|---|---|---|---|",
    ]
    for name, value in tick.items():
        beyond = [f"{value - base:+.0f}" if value != base else "" for base in (tick["kernels alone"], native)]
        lines.append(f"| {name} | {value:.0f} | {beyond[0]} | {beyond[1] if value > native else ''} |")
    lines += [
        "",
        "Starting the example language model (examples/char_lm) in a fresh process, milliseconds. Files are in the "
        "page cache; weights are compared with their digest.",
        "",
        "| stage | ms |",
        "|---|---|",
        *(f"| {name} | {value:.1f} |" for name, value in start.items()),
        "",
        f"Load and first step together: **{start['load'] + start['first step']:.1f} ms**.",
        *_render_loads(report["loads"]),
    ]
    return "\n".join(lines) + "\n"


def _render_loads(loads: dict[str, Any]) -> list[str]:
    nbytes = 4 * WIDE * WIDE / 2**20
    return [
        "",
        f"Opening a layer of {WIDE:,} neurons with weights of {nbytes:.0f} MiB, on "
        f"{loads['cpu']}, the file in the page cache: "
        "milliseconds of the processor, and memory after a step that is the process's own (the kernel can neither drop "
        "it nor share it with others). Weights are read, hashed and kept; mapped ones are the page cache's.",
        "",
        "| opened | ms | MiB |",
        "|---|---|---|",
        *(f"| {way} | {cost['milliseconds']:.1f} | {cost['mebibytes']:.1f} |" for way, cost in loads["ways"].items()),
    ]


if __name__ == "__main__":
    main()
