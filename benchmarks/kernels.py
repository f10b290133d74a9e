"""At which firing rate a dense matrix product beats the event-driven one: what `choose_kernels` decides by.

    make bench-kernels        or        python -m benchmarks.kernels

One product of spikes with a matrix, compiled both ways for this machine and run natively on one thread, the two taking
turns. A tick includes building the list of active inputs and adding the result to a leaky state. Writes
`results/kernels.json` and `results/kernels.md` beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import astroedge
from astroedge.runtimes.compiled import CompiledSession
from astroedge.step_graph import StepGraph
from astroedge.step_spec import StateSpec, StepSpec, TensorSpec
from benchmarks.machine import describe

RESULTS = Path(__file__).with_name("results")
SHAPES = ((16, 16), (32, 32), (64, 64), (192, 192), (512, 192), (192, 512), (1024, 512), (512, 2048), (4096, 1024))
RATES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
ROUNDS, TICKS = 15, 200


def main() -> None:
    """Time every shape at every rate, print the table and write both files."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    machine = describe()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    report = {"machine": machine, "threads": 1, "products": [measure(*shape) for shape in SHAPES]}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "kernels.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "kernels.md").write_text(render(report), encoding="utf-8")
    print(render(report))


def measure(rows: int, columns: int) -> dict[str, Any]:
    """Microseconds of a tick, event-driven at each rate and dense, for a matrix of `rows` inputs and `columns`."""
    print(f"{rows} × {columns}")
    graph = product_graph(rows, columns)
    rng = np.random.default_rng(0)
    inputs = {rate: (rng.random((TICKS, 1, rows)) < rate).astype(np.float32) for rate in RATES}
    with (
        astroedge.load(astroedge.compile(graph, kernels="event")) as event,
        astroedge.load(astroedge.compile(graph, kernels="dense")) as dense,
    ):
        rounds = [[(time_run(event, x), time_run(dense, x)) for x in inputs.values()] for _ in range(ROUNDS + 1)]
    medians = np.median(np.array(rounds[1:]), axis=0)
    return {
        "rows": rows,
        "columns": columns,
        "event": {str(rate): round(float(time), 3) for rate, time in zip(RATES, medians[:, 0], strict=True)},
        "dense": round(float(np.median(medians[:, 1])), 3),
    }


def product_graph(rows: int, columns: int) -> StepGraph:
    """`y = v_next = v / 2 + x W` with spikes `x`."""
    weights = np.random.default_rng(1).normal(size=(rows, columns)).astype(np.float32)
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, rows), "float32", firing_rate=0.1),),
        outputs=(TensorSpec("y", (1, columns), "float32"),),
        states=(StateSpec("v", (1, columns), "float32"),),
    )
    nodes = [
        helper.make_node("MatMul", ["x", "W"], ["current"]),
        helper.make_node("Mul", ["state.v", "half"], ["left"]),
        helper.make_node("Add", ["left", "current"], ["y"]),
        helper.make_node("Identity", ["y"], ["next.v"]),
    ]
    widths = {"x": rows, "state.v": columns, "y": columns, "next.v": columns}
    x, state, y, following = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, width)) for name, width in widths.items()
    )
    stored = [numpy_helper.from_array(weights, "W"), numpy_helper.from_array(np.array(0.5, np.float32), "half")]
    model = helper.make_graph(nodes, f"product_{rows}x{columns}", [x, state], [y, following], stored)
    return StepGraph(helper.make_model(model, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), spec)


def time_run(session: CompiledSession, x: NDArray[np.float32]) -> float:
    """Microseconds a tick of one native run."""
    begin = perf_counter_ns()
    session.run(x=x)
    return (perf_counter_ns() - begin) / len(x) / 1e3


def break_even(product: dict[str, Any]) -> str:
    """The firing rates between which the dense product becomes the faster one."""
    faster = [rate for rate in RATES if product["event"][str(rate)] < product["dense"]]
    slower = [rate for rate in RATES if rate not in faster]
    if not faster or not slower:
        return f"above {RATES[-1]:.0%}" if faster else f"below {RATES[0]:.0%}"
    return f"{max(faster):.0%}–{min([rate for rate in slower if rate > max(faster)], default=1):.0%}"


def render(report: dict[str, Any]) -> str:
    """The report as a Markdown table."""
    machine = report["machine"]
    lines = [
        "# Event-driven and dense products",
        "",
        f"Made by `make bench-kernels` on {machine['cpu']} ({machine['cores']} cores, {machine['kernel']}), one "
        "thread. Microseconds of a native tick: the product, the list of active inputs and a leaky state, by firing "
        "rate.",
        "",
        "| inputs × outputs | dense | " + " | ".join(f"{rate:.0%}" for rate in RATES) + " | dense wins from |",
        "|---|---|" + "---|" * (len(RATES) + 1),
    ]
    for product in report["products"]:
        events = " | ".join(f"{product['event'][str(rate)]:.2f}" for rate in RATES)
        size = f"{product['rows']} × {product['columns']}"
        lines.append(f"| {size} | {product['dense']:.2f} | {events} | {break_even(product)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
