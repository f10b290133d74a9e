"""What a tick executes on ARM boards, and how many cycles that takes by LLVM's models of their processors: estimates.

    make bench-arm        or        python -m benchmarks.studies.arm

No board takes part. Bundles for Raspberry Pi 3, 4 and 5 and ONNX Runtime's wheel for ARM run in QEMU, which counts the
instructions of N and of 2N ticks; the difference is that of N ticks alone. Every block of instructions that the two
runtimes execute is simulated by llvm-mca, and its cycles counted as often as it was executed. What no figure here
holds: caches that are missed, branches predicted wrongly, the clock. Single products, measured twice with more and with
fewer weights, give the cycles a weight that the compiler's estimates are compared with. Writes `results/arm.json` and
`results/arm.md` beside this file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx

from astroedge.step.graph import StepGraph
from astroedge.targets import compile_step, link_bundle, quantise
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.compiler.select.byte_dots import byte_dots
from astroedge.targets.compiler.select.kernel_cost import DOTS
from astroedge.targets.precision.storage import STORAGES
from benchmarks.arm.board_run import Case, Tick, run_cases, save_inputs
from benchmarks.arm.cycles import MODELS
from benchmarks.arm.debian import NoPackagesError
from benchmarks.arm.tools import Tools, fetch_tools
from benchmarks.networks.subjects import make_subject
from benchmarks.peers.onnx_runtime_int8 import with_block_matrices, with_dynamic_matrices
from benchmarks.places import RESULTS
from benchmarks.studies.kernels import product_graph
from benchmarks.studies.pruned import pruned_graph
from benchmarks.timing.machine import describe

BOARDS = {"raspberry-pi-3": "cortex-a53", "raspberry-pi-4": "cortex-a72", "raspberry-pi-5": "cortex-a76"}
NETWORKS = {"lif-tiny": ("event", "dense"), "alif-shd": ("event", "dense"), "gru-keywords": ("dense",)}
PRECISIONS = ("float32", "int8")
PEERS: dict[str, dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]]] = {
    "float32": {"as exported": lambda model: model},
    "int8": {"MatMulNBits": with_block_matrices, "quantize_dynamic": with_dynamic_matrices},
}
TICKS = 16
ROWS, COLUMNS = (256, 512), 512
RATES = (0.1, 0.3)
ZEROS = (0.9, 0.8)


@dataclass(frozen=True)
class Slope:
    """Two cases of one kernel, the second with more weights, and the constant of the cost model for what one takes."""

    constant: str
    precision: str
    cases: tuple[Case, Case]
    weights: tuple[float, float]


def main() -> None:
    """Run everything on each board, print the tables and write both files."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    try:
        report = measure_all(fetch_tools())
    except NoPackagesError as error:
        raise SystemExit(str(error)) from error
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "arm.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "arm.md").write_text(render(report), encoding="utf-8")
    print(render(report))


def measure_all(tools: Tools) -> dict[str, Any]:
    """What each board executes, with the machine and the versions that it was found out on."""
    machine = describe()
    machine["versions"] |= tools.versions()
    boards = []
    for board in BOARDS:
        with TemporaryDirectory() as folder:
            boards.append(measure(tools, board, Path(folder)))
    return {"machine": machine, "ticks": TICKS, "boards": boards}


def measure(tools: Tools, board: str, folder: Path) -> dict[str, Any]:
    """What the emulated board executes: a tick of each network in both runtimes, and cycles a weight."""
    print(board, flush=True)
    networks = [row for name in NETWORKS for row in network_cases(name, board, folder)]
    slopes = list(slope_cases(board, folder))
    cases = [case for _, case in networks] + [case for slope in slopes for case in slope.cases]
    ticks = run_cases(tools, BOARDS[board], cases, folder)
    of_networks, less, more = ticks[: len(networks)], ticks[len(networks) :: 2], ticks[len(networks) + 1 :: 2]
    return {
        "board": board,
        "cpu": BOARDS[board],
        "networks": [words | asdict(tick) for (words, _), tick in zip(networks, of_networks, strict=True)],
        "kernels": [compared(*each, board) for each in zip(slopes, less, more, strict=True)],
    }


def network_cases(name: str, board: str, folder: Path) -> Iterator[tuple[dict[str, str], Case]]:
    """A network by precision: ours with each kind of kernel, by `run` and by `step`, and ONNX Runtime's ways."""
    subject = make_subject(name, ticks=2 * TICKS)
    inputs = save_inputs(folder / f"{name}.npz", subject.inputs, TICKS)
    for precision in PRECISIONS:
        words = {"network": name, "precision": precision}
        for kernels in NETWORKS[name]:
            bundle = build(subject.graph, board, precision, kernels, folder / f"{name}-{precision}-{kernels}")
            for kind in ("run", "step"):
                yield {**words, "runtime": f"astroedge {kind}", "kernels": kernels}, Case(kind, bundle, inputs, TICKS)
        for way, quantised in PEERS[precision].items():
            path = folder / f"{name}-{precision}-{way.replace(' ', '-')}.onnx"
            model = onnx.ModelProto()
            model.CopyFrom(subject.graph.model)
            del model.graph.value_info[:]  # the shapes it holds are of values that the quantiser replaces
            onnx.save(quantised(model), path)
            yield {**words, "runtime": "onnxruntime", "kernels": way}, Case("onnxruntime", str(path), inputs, TICKS)


def slope_cases(board: str, folder: Path) -> Iterator[Slope]:
    """Pairs of products for every constant of the cost model that says what a weight takes."""
    fired = np.random.default_rng(0).random((2 * TICKS, 1, ROWS[1]))
    spikes = {rate: (fired < rate).astype(np.float32) for rate in RATES}
    by_rate = [save_inputs(folder / f"{rate}.npz", {"x": x}, TICKS) for rate, x in spikes.items()]
    active = [float(x[TICKS:].sum()) / TICKS * COLUMNS for x in spikes.values()]
    by_rows = [save_inputs(folder / f"{rows}.npz", {"x": spikes[RATES[0]][..., :rows]}, TICKS) for rows in ROWS]
    for precision, storage in STORAGES.items():
        event = build(product_graph(ROWS[1], COLUMNS), board, precision, "event", folder / f"event-{precision}")
        yield _slope("added", precision, [event, event], by_rate, active)
        dense = [
            build(product_graph(rows, COLUMNS), board, precision, "dense", folder / f"dense-{precision}-{rows}")
            for rows in ROWS
        ]
        constant = "fixed_point" if storage.is_integer else "multiplied"
        yield _slope(constant, precision, dense, by_rows, [float(rows * COLUMNS) for rows in ROWS])
    entries = [(1 - zeros) * active[1] for zeros in ZEROS]  # of active inputs: the others are passed over
    for precision in PRECISIONS:
        graphs = {zeros: pruned_graph(ROWS[1], COLUMNS, zeros, False) for zeros in ZEROS}
        pruned = [
            build(graph, board, precision, "pruned", folder / f"pruned-{precision}-{zeros}")
            for zeros, graph in graphs.items()
        ]
        yield _slope("single", precision, pruned, [by_rate[1]] * 2, entries)


def _slope(constant: str, precision: str, bundles: list[str], inputs: list[str], weights: list[float]) -> Slope:
    less, more = (Case("run", bundle, data, TICKS) for bundle, data in zip(bundles, inputs, strict=True))
    return Slope(constant, precision, (less, more), (weights[0], weights[1]))


def build(graph: StepGraph, board: str, precision: str, kernels: str, place: Path) -> str:
    """The path of a bundle for a board with one kind of kernel, without the checks of `astroedge.compile`."""
    stored, target = quantise(graph, precision), resolve_target(board)
    step = compile_step(stored.graph, target, math="exact", kernels=kernels, probes=False, weights=stored.weights)
    link_bundle(step, target).save(place)
    return str(place)


def compared(slope: Slope, less: Tick, more: Tick, board: str) -> dict[str, Any]:
    """Cycles and instructions that a further weight takes, and the cycles that the cost model has for it."""
    weights = slope.weights[1] - slope.weights[0]
    cycles, expected = (more.cycles - less.cycles) / weights, modelled(slope.constant, slope.precision, board)
    return {
        "constant": slope.constant,
        "precision": slope.precision,
        "instructions_a_weight": round((more.own - less.own) / weights, 3),
        "cycles_a_weight": round(cycles, 3),
        "modelled": round(expected, 3),
        "cycles_over_modelled": round(cycles / expected, 2),
    }


def modelled(constant: str, precision: str, board: str) -> float:
    """Cycles a weight by the compiler's estimate, from a member of `storage.Speeds`."""
    target = resolve_target(board)
    speeds = STORAGES[precision].speeds_where(target.family.adds_widened)
    if constant == "single":
        return speeds.single * target.family.single_addition
    dots = constant == "fixed_point" and byte_dots(target, STORAGES[precision]) is not None
    return 512 / target.vector_bits / float(getattr(speeds, constant)) / (DOTS if dots else 1)


def render(report: dict[str, Any]) -> str:
    """The report as Markdown: what it is, the networks by board, and the kernels beside the cost model."""
    machine, versions = report["machine"], report["machine"]["versions"]
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [
        "# ARM without a board",
        "",
        "**Estimates; no board took part.** Made by `make bench-arm` on "
        f"{machine['cpu']} ({machine['kernel']}) with {named}. Bundles for each board and ONNX Runtime's wheel for ARM "
        "ran in QEMU, which counted instructions; llvm-mca simulated every block of them. A tick is the mean of "
        f"{report['ticks']} on one thread. Instructions are those of the runtime's own library, which a C host "
        "executes too, and in brackets of the whole process that calls it from Python for every tick; of ONNX "
        "Runtime, bound to fixed buffers, in the better of its ways. Cycles are the library's, with every load from "
        "the first cache and every branch foreseen: a lower bound by LLVM's model, not a time.",
        "",
        *(f"- {cpu}: {model.words}." for cpu, model in MODELS.items()),
    ]
    for board in report["boards"]:
        lines += ["", f"## {board['board']} ({board['cpu']})", "", *network_table(board["networks"])]
    return "\n".join([*lines, "", *kernel_table(report["boards"])]) + "\n"


def network_table(rows: list[dict[str, Any]]) -> list[str]:
    """A line for each network, precision and kind of kernel, beside the better of ONNX Runtime's ways."""
    lines = [
        "| network | weights | kernels | instructions: AstroEdge | ONNX Runtime | ratio | cycles: AstroEdge | "
        "ONNX Runtime | ratio |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    found = {(row["network"], row["precision"], row["runtime"], row["kernels"]): row for row in rows}
    for (network, precision, runtime, kernels), run in found.items():
        if runtime != "astroedge run":
            continue
        step = found[network, precision, "astroedge step", kernels]
        peer = best_peer(rows, network, precision)
        cells = [network, precision, kernels]
        cells += [f"{own['own']:,} ({whole['instructions']:,})" for own, whole in ((run, step), (peer, peer))]
        cells += [f"{peer['own'] / run['own']:.1f} ({peer['instructions'] / step['instructions']:.1f})"]
        cells += [f"{run['cycles']:,}", f"{peer['cycles']:,}", f"{peer['cycles'] / run['cycles']:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def best_peer(rows: list[dict[str, Any]], network: str, precision: str) -> dict[str, Any]:
    """ONNX Runtime in the way that takes the fewest cycles."""
    ways = [
        row for row in rows if (row["network"], row["precision"], row["runtime"]) == (network, precision, "onnxruntime")
    ]
    return min(ways, key=lambda row: float(row["cycles"]))


def kernel_table(boards: list[dict[str, Any]]) -> list[str]:
    """Cycles a further weight by llvm-mca over what the compiler's estimates have; bold beyond 25 %."""
    lines = [
        "## Cycles a weight, beside the compiler's estimates",
        "",
        "What one more weight takes, from two products that differ only in how many there are; in brackets over the "
        "constant of the compiler's estimate, bold where they differ by more than a quarter.",
        "",
        "| a weight is | stored as | estimate | " + " | ".join(board["cpu"] for board in boards) + " |",
        "|---|---|---|" + "---|" * len(boards),
    ]
    for each in zip(*(board["kernels"] for board in boards), strict=True):
        first = each[0]
        cells = [first["constant"].replace("_", " "), first["precision"], f"{first['modelled']:.2f}"]
        lines.append(f"| {' | '.join([*cells, *map(_ratio, each)])} |")
    return lines


def _ratio(kernel: dict[str, Any]) -> str:
    ratio = kernel["cycles_over_modelled"]
    text = f"{kernel['cycles_a_weight']:.2f} ({ratio:.2f})"
    return text if 0.8 <= ratio <= 1.25 else f"**{text}**"


if __name__ == "__main__":
    main()
