"""When an event-driven matrix product beats the dense one, and whether the compiler's estimates choose the faster.

    make bench-kernels        or        python -m benchmarks.studies.kernels

One product of spikes with a matrix, compiled both ways for this machine and run natively on one thread, the two taking
turns: shapes by firing rates by precisions. A tick includes building the list of active inputs and adding the result to
a leaky state. The regret of a choice is the time of the chosen kernel over that of the faster one. Writes
`results/kernels.json` and `results/kernels.md` beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.step.graph import StepGraph
from astroedge.step.spec import SpikeSpec, StateSpec, StepSpec, TensorSpec
from astroedge.targets import compile_step, link_bundle, quantise
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.compiler.lower.legalize import Product
from astroedge.targets.compiler.select.kernel_cost import MatrixCost, level_of
from astroedge.targets.precision.storage import STORAGES
from benchmarks.places import RESULTS
from benchmarks.timing.machine import describe

SHAPES = ((16, 16), (32, 32), (64, 64), (192, 192), (512, 192), (192, 512), (1024, 512), (512, 2048), (4096, 1024))
RATES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
ROUNDS, TICKS, BLOCK_MICROSECONDS = 11, 200, 4000.0


def main() -> None:
    """Time every product at every rate, print the tables and write both files."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    machine = describe()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    products = [measure(*shape, precision) for precision in STORAGES for shape in SHAPES]
    report = {"machine": machine, "threads": 1, "products": products}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "kernels.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "kernels.md").write_text(render(report), encoding="utf-8")
    print(render(report))


def measure(rows: int, columns: int, precision: str) -> dict[str, Any]:
    """Microseconds of a tick by firing rate, both ways, and what the compiler would choose, for a matrix."""
    print(f"{rows} × {columns} {precision}", flush=True)
    graph = product_graph(rows, columns)
    rng = np.random.default_rng(0)
    inputs = {rate: (rng.random((TICKS, 1, rows)) < rate).astype(np.float32) for rate in RATES}
    with (
        astroedge.load(build(graph, precision, "event")) as event,
        astroedge.load(build(graph, precision, "dense")) as dense,
    ):
        ticks = int(np.clip(BLOCK_MICROSECONDS / time_run(dense, inputs[RATES[0]]), 10, TICKS))
        blocks = [x[:ticks] for x in inputs.values()]
        rounds = [[(time_run(event, x), time_run(dense, x)) for x in blocks] for _ in range(ROUNDS + 1)]
    times = np.array(rounds[1:])
    medians = np.median(times, axis=0)
    ratios = np.median(times[:, :, 0] / times[:, :, 1], axis=0)  # in each round: what disturbs strikes both
    return {
        "rows": rows,
        "columns": columns,
        "precision": precision,
        "event": {str(rate): round(float(time), 3) for rate, time in zip(RATES, medians[:, 0], strict=True)},
        "dense": round(float(np.median(medians[:, 1])), 3),
        "event_over_dense": {str(rate): round(float(ratio), 3) for rate, ratio in zip(RATES, ratios, strict=True)},
        "chosen": {str(rate): chosen(rows, columns, precision, rate) for rate in RATES},
    }


def build(graph: StepGraph, precision: str, kernels: str) -> Bundle:
    """The bundle with one kind of kernel, without the checks of `astroedge.compile`."""
    quantised, target = quantise(graph, precision), resolve_target("native")
    step = compile_step(quantised.graph, target, math="exact", kernels=kernels, probes=False, weights=quantised.weights)
    return link_bundle(step, target)


def chosen(rows: int, columns: int, precision: str, rate: float) -> str:
    """What the compiler chooses for a network of this one matrix."""
    target, product = resolve_target("native"), Product("W", 1, 1, rows, columns, True, None)
    storage = STORAGES[precision]
    level = level_of(storage.nbytes(rows, columns), target)
    return MatrixCost(product, storage, level, target).choose(rate, graded=False, fires="x")[0]


def product_graph(rows: int, columns: int) -> StepGraph:
    """`y = v_next = v / 2 + s W` with spikes `s`, 1 where x > 1/2."""
    weights = np.random.default_rng(1).normal(size=(rows, columns)).astype(np.float32)
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, rows), "float32"),),
        outputs=(TensorSpec("y", (1, columns), "float32"),),
        states=(StateSpec("v", (1, columns), "float32"),),
        spikes=(SpikeSpec("spike", "fired", (1, rows), 0.1),),
    )
    nodes = [
        helper.make_node("Greater", ["x", "half"], ["fired"]),
        helper.make_node("Cast", ["fired"], ["spikes"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["spikes", "W"], ["current"]),
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
    faster = [rate for rate in RATES if product["event_over_dense"][str(rate)] < 1]
    slower = [rate for rate in RATES if rate not in faster]
    if not faster or not slower:
        return f"above {RATES[-1]:.0%}" if faster else f"below {RATES[0]:.0%}"
    return f"{max(faster):.0%}–{min([rate for rate in slower if rate > max(faster)], default=1):.0%}"


def regrets(products: list[dict[str, Any]]) -> NDArray[np.float64]:
    """The time of the chosen kernel over that of the faster one, of every product at every rate."""
    ratios = []
    for product in products:
        for rate, ratio in product["event_over_dense"].items():
            ratios.append(max(1.0, ratio if product["chosen"][rate] == "event" else 1 / ratio))
    return np.array(ratios)


def render(report: dict[str, Any]) -> str:
    """The report as Markdown tables, one for each precision."""
    machine, every = report["machine"], regrets(report["products"])
    lines = [
        "# Event-driven and dense products",
        "",
        f"Made by `make bench-kernels` on {machine['cpu']} ({machine['cores']} cores, {machine['kernel']}), one "
        "thread. Microseconds of a native tick: the product, the list of active inputs and a leaky state, by firing "
        "rate; in bold where the compiler's estimates choose event-driven. Which one is faster is judged by the "
        "median of their ratios in each round.",
        "",
        f"The chosen kernel takes {np.median(every):.2f} times as long as the faster one in the median of {every.size} "
        f"products, {np.quantile(every, 0.9):.2f} times at the 90th percentile, {every.max():.2f} at most.",
    ]
    for precision in STORAGES:
        products = [product for product in report["products"] if product["precision"] == precision]
        own = regrets(products)
        lines += [
            "",
            f"## {precision}",
            "",
            f"Chosen over faster: {np.median(own):.2f} in the median, {own.max():.2f} at most.",
            "",
            "| inputs × outputs | dense | " + " | ".join(f"{rate:.0%}" for rate in RATES) + " | dense wins from |",
            "|---|---|" + "---|" * (len(RATES) + 1),
            *(_row(product) for product in products),
        ]
    return "\n".join(lines) + "\n"


def _row(product: dict[str, Any]) -> str:
    times = {rate: f"{time:.2f}" for rate, time in product["event"].items()}
    events = " | ".join(f"**{time}**" if product["chosen"][rate] == "event" else time for rate, time in times.items())
    return f"| {product['rows']} × {product['columns']} | {product['dense']:.2f} | {events} | {break_even(product)} |"


if __name__ == "__main__":
    main()
