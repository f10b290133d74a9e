"""The benchmark suite: AstroEdge beside its peers, in one run on one machine.

    make bench        or        python -m benchmarks.bench [--sections models rates] [--models lif-tiny] [--quick]

Sections: `models` (every network beside every peer, one thread and all cores), `rates` (by firing rate), `sizes` (from
1 to 100 million weights), `contexts` (beside a transformer), `llama` (beside llama.cpp, to 1.5 billion weights). Each
writes NAME.json, NAME.svg and its table. A complete
section goes to `results/` beside this file and its table into the documentation, and so does any part of `llama`, which
joins what was measured before; anything less goes to `out/benchmarks/results/`, tables to bench.md there.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from subprocess import CalledProcessError
from types import ModuleType

from astroedge.errors import AstroEdgeError
from astroedge.replace_file import replace_file
from benchmarks.llama.prepare import SIZES
from benchmarks.networks.suite import SUITE
from benchmarks.places import REPOSITORY, RESULTS
from benchmarks.processes.stream import ProcessError
from benchmarks.report import markdown
from benchmarks.report.documents import put_into, summary
from benchmarks.sections import beside_llama, compare_contexts, compare_models, grow_sizes, sweep_rates
from benchmarks.timing.bandwidth import measure_bandwidth
from benchmarks.timing.compare import Record, bound_to_cores
from benchmarks.timing.machine import describe
from benchmarks.timing.settings import Settings
from benchmarks.timing.turns import FULL, QUICK, attempt

SECTIONS: dict[str, ModuleType] = {
    "models": compare_models,
    "rates": sweep_rates,
    "sizes": grow_sizes,
    "contexts": compare_contexts,
    "llama": beside_llama,
}
QUICK_SIZES = ("25M",)
COMPLETE, PARTIAL = RESULTS.resolve(), REPOSITORY / "out" / "benchmarks" / "results"


def main() -> None:
    """Measure what was asked for and write the files, section by section."""
    arguments = parse()
    settings = Settings(
        arguments.models,
        arguments.rates,
        arguments.threads,
        QUICK if arguments.quick else FULL,
        arguments.quick,
        arguments.sizes or (QUICK_SIZES if arguments.quick else tuple(SIZES)),
    )
    if arguments.prepare:
        prepare(settings)
        return
    machine = describe()
    print("measuring how fast memory is read", flush=True)
    with bound_to_cores(1):
        bandwidth = measure_bandwidth()
    failed: dict[str, str] = {}
    folders: list[Path] = []
    for name in arguments.sections:
        folder = (arguments.output or (COMPLETE if is_complete(name, settings) else PARTIAL)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        folders.append(folder)
        report = attempt(name, failed, partial(SECTIONS[name].measure, settings, bandwidth))
        if report is None:
            print(f"section {name} failed: {failed[name]}", flush=True)
            continue
        report = {"machine": machine, "bandwidth_gb_per_s": bandwidth, **report}
        joined = attempt(f"{name}, joined", failed, partial(with_earlier, folder, name, report))
        if joined is None:
            print(f"{name} was measured, and does not join earlier figures: {failed[f'{name}, joined']}", flush=True)
        write(folder, name, report if joined is None else joined)
    for folder in dict.fromkeys(folders):
        print("\n".join(render(folder, str(folder))))


def is_complete(name: str, settings: Settings) -> bool:
    """Whether a section is measured as its results are; points of section "llama" join those measured before."""
    whole = Settings()
    parts = (tuple(settings.models), settings.rates, tuple(settings.threads))
    return not settings.quick and (name == "llama" or parts == (whole.models, whole.rates, whole.threads))


def prepare(settings: Settings) -> None:
    """Make what section "llama" needs; ends the program with the reason where that cannot be."""
    try:
        beside_llama.make_ready(settings)
    except (RuntimeError, OSError, CalledProcessError, ProcessError, AstroEdgeError) as error:
        raise SystemExit(f"bench: {error}") from error


def parse() -> argparse.Namespace:
    """The command line."""
    whole = Settings()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="default: all")
    add("--models", nargs="+", choices=SUITE, default=whole.models, metavar="MODEL", help=f"of {', '.join(SUITE)}")
    add("--rates", nargs="+", type=float, metavar="RATE", help="firing rates to sweep (default: all)")
    add("--threads", nargs="+", type=int, default=whole.threads, help="default: 1 and all cores")
    add("--quick", action="store_true", help="short blocks, few rounds, small sizes: to see whether it runs")
    add("--sizes", nargs="+", choices=SIZES, help="of section llama (default: all, with --quick the smallest)")
    add("--prepare", action="store_true", help="make what section llama needs, gigabytes for large sizes, and stop")
    add("--output", type=Path, help="folder to write to")
    return parser.parse_args()


def with_earlier(folder: Path, name: str, report: Record) -> Record:
    """A report of section "llama" with the points that were measured before; of any other section as it is."""
    path = folder / f"{name}.json"
    if name != "llama" or not path.is_file():
        return report
    return beside_llama.merge(json.loads(path.read_text(encoding="utf-8")), report)


def write(folder: Path, name: str, report: Record) -> None:
    """The raw figures and the picture of a section, and the tables of all sections whose figures are in the folder."""
    replace_file(folder / f"{name}.json", (json.dumps(report, indent=1) + "\n").encode())
    if report["comparisons"]:
        SECTIONS[name].draw(report, folder / f"{name}.svg")
    if folder == COMPLETE:
        update_documents()
    else:
        lines = ["# Benchmarks", "", *render(folder, ".")]
        (folder / "bench.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def update_documents() -> None:
    """Bring the tables of the complete results into README.md and docs/benchmarks.md."""
    put_into(REPOSITORY / "docs" / "benchmarks.md", render(COMPLETE, "../benchmarks/results"))
    models = COMPLETE / "models.json"
    if models.is_file():
        put_into(REPOSITORY / "README.md", summary(json.loads(models.read_text(encoding="utf-8"))))


def render(folder: Path, pictures: str) -> list[str]:
    """The tables of every section that has its figures in `folder`, with links to pictures in `pictures`."""
    lines: list[str] = []
    for name, section in SECTIONS.items():
        path = folder / f"{name}.json"
        if path.is_file():
            report = json.loads(path.read_text(encoding="utf-8"))
            lines += [*section.render(report), "", f"![{name}]({pictures}/{name}.svg)", ""]
            lines += [f"*{name}*: {markdown.made_on(report['machine'])}", ""]
    return lines


if __name__ == "__main__":
    main()
