"""What pruned weights cost beside dense ones and ONNX Runtime, by the share of zeros.

    make bench-pruned        or        python -m benchmarks.studies.pruned

One product of real inputs, and one of spikes that fire at 10 %, with a matrix of which a random share of the weights is
0: a matrix that the second cache holds, and one of 16 MB in float32. Each is compiled for this machine with the kernel
that reads every weight (of spikes, of active inputs), and with the one that leaves the zeros out; ONNX Runtime
multiplies the same matrix in float32, zeros included. All three take turns on one thread. Compared is the least
processor time of each, since what disturbs a run only makes it longer. Writes `results/pruned.json` and
`results/pruned.md` beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from time import thread_time
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

import astroedge
from astroedge.step.graph import StepGraph
from benchmarks.places import RESULTS
from benchmarks.studies.kernels import build, product_graph
from benchmarks.timing.machine import describe

SHAPES = ((512, 512), (2048, 2048))
ZEROS = (0.5, 0.8, 0.9, 0.95)
PRECISIONS = ("float32", "int8")
RATE = 0.1
ROUNDS, TICKS = 15, 20


def main() -> None:
    """Time every product, print the table and write both files."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    machine = describe()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    products = [
        measure(shape, zeros, precision, spikes)
        for precision in PRECISIONS
        for spikes in (False, True)
        for shape in SHAPES
        for zeros in ZEROS
    ]
    report = {"machine": machine, "threads": 1, "products": products}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "pruned.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "pruned.md").write_text(render(report), encoding="utf-8")
    print(render(report))


def measure(shape: tuple[int, int], zeros: float, precision: str, spikes: bool) -> dict[str, Any]:
    """Microseconds of a tick by each kernel and in ONNX Runtime, bytes of the weights, and what compile chooses."""
    print(f"{shape[0]} × {shape[1]} {precision}, {zeros:.0%} zeros", flush=True)
    graph = pruned_graph(*shape, zeros, spikes)
    rng = np.random.default_rng(0)
    size = (TICKS, 1, shape[0])
    x = ((rng.random(size) < RATE) if spikes else rng.standard_normal(size)).astype(np.float32)
    whole = "event" if spikes else "dense"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    reference = onnxruntime.InferenceSession(graph.model.SerializeToString(), options, ["CPUExecutionProvider"])
    state = {f"state.{name}": value for name, value in graph.initial_state().items()}

    def run_reference() -> None:
        for tick in x:
            reference.run(None, {"x": tick, **state})

    with (
        astroedge.load(build(graph, precision, whole)) as dense,
        astroedge.load(build(graph, precision, "pruned")) as pruned,
    ):
        runs = {"whole": lambda: dense.run(x=x), "pruned": lambda: pruned.run(x=x), "onnxruntime": run_reference}
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(ROUNDS):
            for name, run in runs.items():
                run()  # brings the weights back into the caches
                begin = thread_time()
                run()
                times[name].append(thread_time() - begin)
        nbytes = {name: session.manifest.matrices[0].nbytes for name, session in (("whole", dense), ("pruned", pruned))}
    return {
        "rows": shape[0],
        "columns": shape[1],
        "zeros": zeros,
        "precision": precision,
        "inputs": f"spikes at {RATE:.0%}" if spikes else "real",
        "microseconds": {name: round(min(found) / TICKS * 1e6, 2) for name, found in times.items()},
        "bytes": nbytes,
        "chosen": build(graph, precision, "auto").manifest.matrices[0].kernel,
    }


def pruned_graph(rows: int, columns: int, zeros: float, spikes: bool) -> StepGraph:
    """`product_graph` with a share of zeros among the weights; without `spikes` the matrix reads x itself."""
    whole = product_graph(rows, columns)
    model = onnx.ModelProto()
    model.CopyFrom(whole.model)
    for tensor in model.graph.initializer:
        if tensor.name == "W":
            weights: NDArray[np.float32] = numpy_helper.to_array(tensor).copy()
            weights.flat[np.random.default_rng(2).permutation(weights.size)[: round(zeros * weights.size)]] = 0
            tensor.CopyFrom(numpy_helper.from_array(weights, "W"))
    if spikes:
        return StepGraph(model, whole.spec)
    nodes = [node for node in model.graph.node if node.output[0] not in ("fired", "spikes")]
    for node in nodes:
        if node.op_type == "MatMul":
            node.input[0] = "x"
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return StepGraph(model, replace(whole.spec, spikes=()))


def render(report: dict[str, Any]) -> str:
    """The report as a Markdown table for each precision and kind of input."""
    machine = report["machine"]
    lines = [
        "# Pruned weights",
        "",
        f"Made by `make bench-pruned` on {machine['cpu']} ({machine['cores']} cores, {machine['kernel']}), one thread. "
        "Microseconds of a tick: the product and a leaky state; for ONNX Runtime with what a call of it costs. *Whole* "
        "reads all weights, or those of the active inputs; *pruned* leaves the zeros out, in bold where the compiler "
        "chooses it. Bytes are those of the pruned weights over those of the whole matrix. ONNX Runtime multiplies in "
        "float32.",
    ]
    kinds = dict.fromkeys((item["precision"], item["inputs"]) for item in report["products"])
    for precision, inputs in kinds:
        lines += [
            "",
            f"## {precision}, inputs: {inputs}",
            "",
            "| matrix | zeros | whole | pruned | whole / pruned | bytes | ONNX Runtime |",
            "|---|---|---|---|---|---|---|",
            *(_row(item) for item in report["products"] if (item["precision"], item["inputs"]) == (precision, inputs)),
        ]
    return "\n".join(lines) + "\n"


def _row(item: dict[str, Any]) -> str:
    times, nbytes = item["microseconds"], item["bytes"]
    pruned = f"{times['pruned']:.1f}"
    cells = (
        f"{item['rows']} × {item['columns']}",
        f"{item['zeros']:.0%}",
        f"{times['whole']:.1f}",
        f"**{pruned}**" if item["chosen"] == "pruned" else pruned,
        f"{times['whole'] / times['pruned']:.2f}",
        f"{nbytes['pruned'] / nbytes['whole']:.2f}",
        f"{times['onnxruntime']:.1f}",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
