"""The suite at due times, asleep in between, beside ONNX Runtime: what an application sees of a tick, not a loop.

    make bench-paced        or        python -m benchmarks.studies.paced [--networks NAME …] [--rates HZ …]

Each network, on one thread, is timed in a loop and then paced at each rate, in turns with ONNX Runtime on the same
inputs, by the code that `astroedge profile --rate --compare` runs. Writes `results/paced.json` and the table in
`docs/benchmarks.md`; with some networks or other rates only, or where others used the cores meanwhile, it only prints:
a step that is longer than a slice of the scheduler's time is then timed with theirs. Other warnings stand beside the
figures.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import astroedge
from astroedge.measuring import Measuring
from astroedge.runtimes.profiling.beside import compare_in_turns
from astroedge.runtimes.profiling.doubts import OTHERS, doubt_machine
from astroedge.runtimes.profiling.machine_watch import MachineWatch, usable_cores
from astroedge.runtimes.profiling.ticks import Ticks
from astroedge.step.graph import StepGraph
from benchmarks.networks.subjects import make_subject
from benchmarks.networks.suite import SUITE, Array
from benchmarks.places import REPOSITORY, RESULTS
from benchmarks.report.documents import put_into
from benchmarks.report.markdown import microseconds, table
from benchmarks.timing.machine import describe

RATES = (100.0, 1000.0)
SECONDS = 5.0
PAGE, COMMAND = REPOSITORY / "docs" / "benchmarks.md", "make bench-paced"


def main() -> None:
    """Measure what was asked for, print the table, and write it if it is everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(SUITE), choices=list(SUITE), metavar="NAME")
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES), metavar="HZ")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each loop and each pacing")
    arguments = parser.parse_args()
    watch = MachineWatch()
    rows = []
    for name in arguments.networks:
        print(f"{name}: measuring", flush=True)
        subject = make_subject(name)
        rows.append({"name": name, **measure(subject.graph, subject.inputs, arguments.rates, arguments.seconds)})
    others, warnings = watch.others(), list(doubt_machine(watch, ()))
    report = {"machine": describe(), "threads": 1, "warnings": warnings, "networks": rows}
    print("\n".join(render(report)))
    if others is not None and others[0] > OTHERS * len(usable_cores()):
        print("\nNot written: others used the cores. Measure again on a machine that does nothing else.")
    elif (arguments.networks, arguments.rates) == (list(SUITE), list(RATES)):
        (RESULTS / "paced.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        put_into(PAGE, render(report), COMMAND)


def measure(graph: StepGraph, inputs: Mapping[str, Array], rates: Sequence[float], seconds: float) -> dict[str, Any]:
    """Medians of both in a loop, nanoseconds, and what was found at each rate."""
    paced = []
    with astroedge.load(astroedge.compile(graph), threads=1) as session:
        ticks = Ticks(session.manifest, inputs, None)
        for rate in rates:
            wanted = Measuring(duration=seconds, rate=rate)
            comparison, found = compare_in_turns(session, graph, ticks, wanted)
            assert found is not None
            paced.append(found.to_json())
    return {"loop": asdict(comparison), "paced": paced}


def render(report: Mapping[str, Any]) -> list[str]:
    """The report as lines of Markdown."""
    machine, records = report["machine"], report["networks"]
    rates = [found["rate"] for found in records[0]["paced"]]
    header = ["network", "in a loop: AstroEdge", "ONNX Runtime"]
    for rate in rates:
        header += [f"{rate:g} Hz: AstroEdge", "ONNX Runtime", "ratio", "late by"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [
        f"Made by `{COMMAND}` on {machine['cpu']} ({machine['cores']} cores, "
        f"{machine['kernel']}), one thread; {versions}. Microseconds of a step from Python, medians of turns; "
        "*late by* is the median of how long after its due time AstroEdge's tick began.",
        "",
        *table(header, [_row(record) for record in records]),
    ]
    return lines + [text for warning in report["warnings"] for text in ("", f"Warning: {warning}")]


def _row(record: Mapping[str, Any]) -> list[str]:
    loop = record["loop"]
    cells = [SUITE[record["name"]].title, microseconds(loop["ours"] / 1e3), microseconds(loop["theirs"] / 1e3)]
    for found in record["paced"]:
        ours, theirs = found["step"]["p50"], found["peer"]["step"]["p50"]
        late = microseconds(found["wake"]["p50"] / 1e3)
        cells += [microseconds(ours / 1e3), microseconds(theirs / 1e3), f"**{theirs / ours:.2f}×**", late]
    return cells


if __name__ == "__main__":
    main()
