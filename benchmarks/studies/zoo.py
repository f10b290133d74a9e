"""The reference cells: exported, compiled, proved on ARM, and timed beside ONNX Runtime, one tick on one core.

    make zoo        or        python -m benchmarks.studies.zoo [CELL …]

A cell is exported with PyTorch beside it, compiled with every check for this machine, and linked into a program for
64-bit ARM that makes its golden trace anew under QEMU; where QEMU is missing the column says so. Times are as in
`benchmarks.studies.networks`: processor time of a tick, in turns with ONNX Runtime on the same graph. Writes
`results/zoo.json` and the table in `docs/zoo.md`; with some cells only it prints.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

import astroedge
from astroedge.models.trained import load_trained
from astroedge.step.graph import StepGraph
from astroedge.workflows.save_executable import compile_executable
from astroedge.zoo_record import ZooRecord, list_records
from benchmarks.networks.published import SEED, make
from benchmarks.networks.zoo import EVENTS, ZOO
from benchmarks.places import REPOSITORY, RESULTS
from benchmarks.report.activity_picture import TICKS, draw_activity
from benchmarks.report.documents import put_into
from benchmarks.report.markdown import firing_range, microseconds, millions, size, table
from benchmarks.report.pictures import save
from benchmarks.studies.networks import attempt, measure
from benchmarks.timing.machine import describe

PAGE, COMMAND = REPOSITORY / "docs" / "zoo.md", "make zoo"
PICTURES = REPOSITORY / "docs" / "images" / "zoo"
EMULATORS = ("qemu-aarch64-static", "qemu-aarch64")
ARM, PROCESSOR = "aarch64", "cortex-a53"
CHECKED = 100  # ticks beside PyTorch


def main() -> None:
    """Take every cell asked for through all of it, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="*", metavar="CELL", help=f"of {', '.join(ZOO)}; default: all")
    names = parser.parse_args().cells or list(ZOO)
    unknown = [name for name in names if name not in ZOO]
    if unknown:
        parser.error(f"there is no cell {unknown[0]}; there are {', '.join(ZOO)}")
    machine = describe()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    rows = [row for name in names if (row := attempt(name, partial(measure_cell, name)))]
    report = {"machine": machine, "threads": 1, "cells": rows}
    print("\n".join(render(report)))
    if len(rows) == len(ZOO):
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "zoo.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        put_into(PAGE, render(report), COMMAND)


def measure_cell(name: str) -> dict[str, Any]:
    """The record of a cell: its proofs and its times."""
    graph, weights, ticks = make(ZOO[name].network, check_ticks=CHECKED)
    astroedge.compile(graph)  # with its checks: raises where the step is not what ONNX Runtime computes
    inputs = [
        dict(zip((item.name for item in graph.spec.inputs), (x.numpy() for x in tick), strict=True)) for tick in ticks
    ]
    state_bytes = sum(item.nbytes for item in graph.spec.states)
    trained = {item.name: _figure(item) for item in list_records() if item.paper == ZOO[name].paper}
    draw(name, next(iter(trained), None), graph)
    proofs = {"state_bytes": state_bytes, "arm": prove_on_arm(graph), "trained": trained}
    return {**proofs, **measure(graph, inputs, weights)}


def _figure(record: ZooRecord) -> str:
    """What a trained network reaches, mean and spread over its seeds."""
    seeds = record.seeds
    if record.metric == "accuracy":
        return f"{seeds.mean:.1%} ± {seeds.spread:.1%}"
    return f"{seeds.mean:.2f} ± {seeds.spread:.2f} {record.metric}"


def draw(name: str, trained: str | None, graph: StepGraph) -> None:
    """Draw what a cell does into `docs/images/zoo`: the trained network on real inputs where there is one."""
    data = _course(name, graph)
    if trained is not None:
        network = load_trained(trained)
        state = tuple(network.model.initial_state(1))  # type: ignore[operator]
        graph = astroedge.export(network.model, network.examples[0], state, examples=network.examples)
        columns = zip(*network.examples, strict=True)
        data = {item.name: _stacked(column) for item, column in zip(graph.spec.inputs, columns, strict=True)}
    with astroedge.load(astroedge.compile(graph)) as session:
        PICTURES.mkdir(parents=True, exist_ok=True)
        save(draw_activity(session, graph, data), PICTURES / f"{name}.svg")


def _course(name: str, graph: StepGraph) -> dict[str, np.ndarray]:
    """Inputs of successive ticks, by name, for the picture."""
    generator = torch.Generator().manual_seed(SEED)
    ticks = [ZOO[name].network.draw(generator, 1) for _ in range(TICKS)]
    columns = zip(*ticks, strict=True)
    return {item.name: _stacked(column) for item, column in zip(graph.spec.inputs, columns, strict=True)}


def _stacked(ticks: Iterable[torch.Tensor]) -> np.ndarray:
    return np.stack([values.numpy() for values in ticks])


def prove_on_arm(graph: StepGraph) -> str:
    """Whether a program for 64-bit ARM makes the golden trace made here: "equal", "DIFFERENT" or "no QEMU"."""
    emulator = next((found for name in EMULATORS if (found := shutil.which(name))), None)
    if emulator is None:
        return "no QEMU"
    with TemporaryDirectory() as folder:
        program = Path(folder) / "step"
        compile_executable(program, graph, ARM)
        command = [emulator, "-cpu", PROCESSOR, str(program), "verify"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    return "equal" if result.returncode == 0 else "DIFFERENT"


def render(report: Mapping[str, Any]) -> list[str]:
    """The report as lines of Markdown."""
    machine = report["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    header = [
        "model",
        "paper",
        "weights",
        "state",
        "firing",
        "ARM",
        "AstroEdge",
        "ONNX Runtime",
        "ratio",
        "trained here",
    ]
    return [
        f"Made by `{COMMAND}` on {machine['cpu']} ({machine['cores']} cores, {machine['kernel']}), one core; "
        f"{versions}. Each model was exported, compared with PyTorch for {CHECKED} ticks, compiled and compared with "
        f"ONNX Runtime; *ARM* says whether a program for {ARM} made the same golden trace under QEMU ({PROCESSOR}). "
        "Times are microseconds of processor time a tick, medians of ticks that take turns. Weights are random but for "
        "AstroSNN's, some of them larger than fresh ones so that neurons fire; inputs that are spikes do so at "
        f"{EVENTS:.0%}, the bits of learnt τ at 50%, and *firing* is what spike tensors then did. *Trained* are "
        "networks of `astroedge zoo`: mean and deviation of five seeds on held-out data.",
        "",
        *table(header, [_row(record) for record in report["cells"]]),
    ]


def _row(record: Mapping[str, Any]) -> list[str]:
    cell = ZOO[record["name"]]
    return [
        cell.title,
        cell.paper,
        millions(record["weights"]) if record["weights"] else "in the state",
        size(record["state_bytes"]),
        firing_range(record["firing_rates"].values()),
        record["arm"],
        microseconds(record["astroedge"]),
        microseconds(record["onnxruntime"]),
        f"**{record['onnxruntime'] / record['astroedge']:.2f}×**",
        ", ".join(f"`{name}` {figure}" for name, figure in record["trained"].items()) or "–",
    ]


if __name__ == "__main__":
    main()
