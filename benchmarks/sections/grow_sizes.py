"""Section "sizes": what a tick of an AstroSNN costs as it grows, against the synapses that are active."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from astroedge.bundle.manifest import Manifest
from benchmarks.networks.subjects import subject_of
from benchmarks.networks.suite import HEADLINE_RATE, Entry, astrosnn
from benchmarks.report import markdown
from benchmarks.report.pictures import COLOURS, figure, save
from benchmarks.timing.compare import Record, compare
from benchmarks.timing.contenders import RUN, STEP, OwnBundles, OwnEntry
from benchmarks.timing.settings import Settings, each
from benchmarks.timing.verdicts import limit_share

PEERS = ("onnxruntime",)
ENTRIES = (OwnEntry("fp32", STEP), OwnEntry("fp32", RUN), OwnEntry("int8", STEP))
VOCABULARY = 256  # small, so that the dense head stays small beside what reads spikes
LINES = (*(entry.name for entry in ENTRIES), *PEERS)


def sized(width: int, layers: int) -> Entry:
    """An AstroSNN of heads of 64 and a feed-forward width of 4 widths: about 13 · layers · width² weights."""
    return astrosnn(VOCABULARY, width, heads=width // 64, feed_forward=4 * width, layers=layers)


SIZES: dict[str, Entry] = {
    "astrosnn 192×2": sized(192, 2),
    "astrosnn 256×3": sized(256, 3),
    "astrosnn 384×3": sized(384, 3),
    "astrosnn 512×4": sized(512, 4),
    "astrosnn 640×5": sized(640, 5),
    "astrosnn 768×7": sized(768, 7),
    "astrosnn 1024×7": sized(1024, 7),
}
QUICK_SIZES = tuple(SIZES)[:3]


def measure(settings: Settings, bandwidth: Mapping[int, float]) -> Record:
    """Compare every size at the headline rate, one thread."""

    def compare_on(name: str) -> list[Record]:
        bundles = OwnBundles(subject_of(name, SIZES[name], HEADLINE_RATE, ticks=256), checked=False)
        record = compare(bundles, ENTRIES, PEERS, 1, settings.plan, bandwidth)
        manifest, rates = bundles.bundle("fp32").manifest, record["own"]["fp32"]["firing_rates"]
        record["active_synapses"], record["synapses"] = count_synapses(manifest, rates)
        return [record]

    failed: dict[str, str] = {}
    names = QUICK_SIZES if settings.quick else tuple(SIZES)
    return {"comparisons": each(names, failed, compare_on), "failed": failed}


def count_synapses(manifest: Manifest, rates: Mapping[str, float]) -> tuple[int, int]:
    """How many weights of matrices a tick uses on average, and how many there are; a dense input uses all."""
    synapses = [(matrix, matrix.rows * matrix.columns * matrix.calls) for matrix in manifest.matrices]
    active = sum(count * (1.0 if matrix.spikes is None else rates[matrix.spikes]) for matrix, count in synapses)
    return round(active), sum(count for _, count in synapses)


def render(report: Record) -> list[str]:
    """A row for each size."""
    header = [
        "width × layers",
        "weights",
        "active synapses a tick",
        *LINES,
        "fp32 step, ns a kilo-synapse",
        "of the limit",
    ]
    rows = []
    for record in report["comparisons"]:
        medians = [record["contenders"].get(name, {}).get("median") for name in LINES]
        unit = medians[0] / record["active_synapses"] * 1e6 if medians[0] is not None else None
        rows.append(
            [
                record["model"].split()[1],
                markdown.millions(record["weights"]),
                markdown.millions(record["active_synapses"]),
                *map(markdown.microseconds, medians),
                markdown.microseconds(unit),
                markdown.percent(limit_share(record, "fp32", STEP)),
            ]
        )
    lines = [
        "## Cost against size: AstroSNN at 10 % firing, one thread, µs a tick",
        "",
        *markdown.table(header, rows),
        "",
    ]
    return lines + [f"- {name}: {reason}" for name, reason in report["failed"].items()]


def draw(report: Record, path: Path) -> None:
    """Time over active synapses, both logarithmic."""
    picture, axes = figure(7.0, 5.0)
    for position, name in enumerate(LINES):
        points = [
            (record["active_synapses"], record["contenders"][name]["median"])
            for record in report["comparisons"]
            if name in record["contenders"]
        ]
        style = "--" if name in PEERS else "-"
        synapses, medians = [x for x, _ in points], [y for _, y in points]
        axes.plot(synapses, medians, style, marker="o", color=COLOURS[2 * position], label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("active synapses a tick, 1–100 million weights firing at 10 %")
    axes.set_ylabel("µs a tick, one thread")
    axes.legend(frameon=False)
    save(picture, path)
