"""Steps compiled for GPUs beside the same steps compiled for this processor: the same bits, without a GPU.

    make cuda-exactness        or        python -m tests.exactness.on_gpus [WORD …]

compiles every network of the benchmark suite, the networks of `make exactness` at every precision, every cell of the
conformance table, and the plainest form of every operator, many in a step, for Jetsons of both generations and a
server's GPU. The shipped PTX, which a driver compiles for its chip, is run by the processor behind a driver that plays
one. A row is printed for each; with words only those whose titles hold one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import torch

from astroedge.step.graph import StepGraph
from astroedge.targets.precision.storage import STORAGES
from benchmarks.networks.subjects import make_subject
from benchmarks.networks.suite import SUITE
from tests.conformance.all_cases import all_cases
from tests.conformance.cases import Weights
from tests.conformance.checks import exported
from tests.support.builds import build
from tests.support.machines import EVERY_GPU, best_here, run_digests, run_hashes
from tests.support.networks import NETWORKS, graph_of
from tests.support.operator_batches import CARRIED, batches, data_of_operators, step_of_operators

TICKS, LARGE_TICKS = 1_000, 100
OPERATORS = 20  # in a step


@dataclass(frozen=True)
class Step:
    """A step that is compared: what the table calls it, and how its graph is had."""

    title: str
    graph: Callable[[], StepGraph]
    precision: str
    ticks: int


def main() -> None:
    """Compare what was asked for, all by default, and print a table; the exit status tells whether all are equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD")
    words = parser.parse_args().words
    torch.set_num_threads(1)
    steps = [step for step in steps_there_are() if not words or any(word in step.title for word in words)]
    print("| step | precision | ticks | barriers a tick | bits | seconds |")
    print("|---|---|---|---|---|---|")
    failures = [reason for step in steps if (reason := compare(step))]
    named = [name for name in CARRIED if not words or any(word in _title(name) for word in words)]
    failures += [reason for names in batches(named, OPERATORS) for reason in compare_operators(names)]
    print("".join(f"\n- {reason}" for reason in failures))
    raise SystemExit(1 if failures else 0)


def steps_there_are() -> Iterator[Step]:
    """The suite, the networks of `make exactness` and the cells of the conformance table."""
    for name in SUITE:
        ticks = LARGE_TICKS if "25m" in name else TICKS
        yield Step(f"suite {name}", lambda name=name: make_subject(name, ticks=1).graph, "float32", ticks)  # type: ignore[misc]
    for name in NETWORKS:
        for precision in STORAGES:
            yield Step(f"network {name}", partial(graph_of, name), precision, TICKS)
    for case in all_cases():
        yield Step(f"cell {case.title}", partial(exported, case, Weights.DRAWN), "float32", case.ticks(TICKS))


def compare(step: Step) -> str | None:
    """Run a step on both and print its row; why it is not equal, None where it is."""
    begin = monotonic()
    try:
        graph = step.graph()
        with TemporaryDirectory() as folder:
            here, gpu = best_here(), build(graph, EVERY_GPU.target, precision=step.precision)
            expected = run_hashes(
                build(graph, here.target, precision=step.precision), here, step.ticks, Path(folder) / "cpu.astro"
            )
            found = run_hashes(gpu, EVERY_GPU, step.ticks, Path(folder) / "gpu.astro")
    except Exception as error:  # one step that fails must not hide the others
        word, barriers, reason = "failed", "–", f"{step.title}, {step.precision}: {type(error).__name__}: {error}"
    else:
        assert gpu.manifest.device is not None
        barriers, same = str(gpu.manifest.device.barriers), found == expected
        word, reason = "equal" if same else "DIFFERENT", f"{step.title}, {step.precision}: {found} and {expected}"
    _print_row(step, barriers, word, monotonic() - begin)
    return None if word == "equal" else reason


def compare_operators(names: list[str]) -> list[str]:
    """Run operators in one step on both and print a row for each; what is not equal.

    Of a step that fails, each operator alone is tried.
    """
    begin = monotonic()
    try:
        graph, data = step_of_operators(names), data_of_operators(names, LARGE_TICKS)
        with TemporaryDirectory() as folder:
            here, gpu = best_here(), build(graph, EVERY_GPU.target)
            expected = run_digests(build(graph, here.target), here, data, Path(folder) / "cpu")
            found = run_digests(gpu, EVERY_GPU, data, Path(folder) / "gpu")
    except Exception as error:  # one operator that fails must not hide the others
        if len(names) > 1:
            return [reason for name in names for reason in compare_operators([name])]
        _print_row(_operator(names[0]), "–", "failed", monotonic() - begin)
        return [f"{_title(names[0])}: {type(error).__name__}: {error}"]
    assert gpu.manifest.device is not None
    failures = []
    for name in names:
        same = found[f"{name}_y"] == expected[f"{name}_y"]
        failures += [] if same else [f"{_title(name)}: outputs differ"]
        barriers, word = str(gpu.manifest.device.barriers), "equal" if same else "DIFFERENT"
        _print_row(_operator(name), barriers, word, (monotonic() - begin) / len(names))
    return failures


def _title(operator: str) -> str:
    return f"operator {operator}"


def _operator(name: str) -> Step:
    return Step(_title(name), partial(step_of_operators, [name]), "float32", LARGE_TICKS)


def _print_row(step: Step, barriers: str, word: str, seconds: float) -> None:
    print(f"| {step.title} | {step.precision} | {step.ticks:,} | {barriers} | {word} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
