"""Section "models": every network of the suite beside every peer, one thread and all cores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.networks.subjects import make_subject
from benchmarks.networks.suite import SUITE
from benchmarks.peers import PEERS
from benchmarks.report import markdown
from benchmarks.report.pictures import COLOURS, figure, save
from benchmarks.timing.compare import Record, compare
from benchmarks.timing.contenders import OWN_ENTRIES, PRECISIONS, OwnBundles
from benchmarks.timing.settings import Settings, each
from benchmarks.timing.verdicts import GOALS, Verdict, judge, limit_share


def measure(settings: Settings, bandwidth: Mapping[int, float]) -> Record:
    """Compare on every network that was asked for; one that fails is named with its reason."""

    def compare_on(name: str) -> list[Record]:
        bundles = OwnBundles(make_subject(name))
        return [
            compare(bundles, OWN_ENTRIES, list(PEERS), threads, settings.plan, bandwidth)
            for threads in settings.threads
        ]

    failed: dict[str, str] = {}
    comparisons = each(settings.models, failed, compare_on)
    peers = {name: {"recipe": peer.recipe, "versions": peer.versions()} for name, peer in PEERS.items()}
    return {"peers": peers, "comparisons": comparisons, "failed": failed}


def render(report: Record) -> list[str]:
    """The verdicts, the times of AstroEdge beside the best peers, and every peer's times."""
    single = [record for record in report["comparisons"] if record["threads"] == 1]
    lines = ["## Goals", "", *_render_verdicts(judge(GOALS, single)), ""]
    for threads in sorted({record["threads"] for record in report["comparisons"]}):
        records = [record for record in report["comparisons"] if record["threads"] == threads]
        title = "one thread" if threads == 1 else f"{threads} threads"
        lines += [f"## A tick on {title}, µs", "", *_render_own(records), "", f"### Peers on {title}, µs", ""]
        lines += [*_render_peers(records), ""]
    lines += ["## Distance from the limit", "", *_render_limits(single), "", *_render_missing(report)]
    return [*lines, "", "## How each peer is run", "", *_render_recipes(report)]


def _render_verdicts(verdicts: Sequence[Verdict]) -> list[str]:
    """The table of goals."""
    marks = {True: "**met**", False: "missed", None: "not measured"}
    rows = [
        [
            SUITE[verdict.goal.model].title,
            f"{verdict.goal.precision} `{verdict.goal.call}`",
            f"≥ {verdict.goal.ratio:g}×",
            f"{markdown.times(verdict.ratio)} ({verdict.peer})" if verdict.peer else "–",
            markdown.percent(verdict.limit_share),
            marks[verdict.met],
        ]
        for verdict in verdicts
    ]
    return markdown.table(["network", "AstroEdge", "goal", "against the best peer", "of the limit", ""], rows)


def _render_own(records: Sequence[Record]) -> list[str]:
    """AstroEdge at every precision beside the best peers."""
    header = ["network", "weights", "firing"]
    header += [f"{precision} {call}" for precision in PRECISIONS for call in ("step", "run")]
    header += ["best fp32 peer", "ratio", "best int8 peer", "ratio"]
    rows = []
    for record in records:
        times = record["contenders"]
        row = [record["model"], markdown.millions(record["weights"]), markdown.firing(record)]
        row += [markdown.microseconds(times.get(entry.name, {}).get("median")) for entry in OWN_ENTRIES]
        for precision in ("fp32", "int8"):
            best = record["ratios"].get(f"astroedge {precision} step")
            row += (
                [markdown.peer_time(best["peer"], times), f"**{markdown.times(best['ratio'])}**"]
                if best
                else ["–", "–"]
            )
        rows.append(row)
    return markdown.table(header, rows)


def _render_peers(records: Sequence[Record]) -> list[str]:
    names = [name for name in PEERS if any(name in record["contenders"] for record in records)]
    rows = [
        [record["model"], *(markdown.microseconds(record["contenders"].get(name, {}).get("median")) for name in names)]
        for record in records
    ]
    return markdown.table(["network", *names], rows)


def _render_limits(records: Sequence[Record]) -> list[str]:
    """What a tick must touch, how fast that can be read, and how near `step` and `run` come."""
    rows = [
        [
            record["model"],
            precision,
            markdown.size(own["touched_bytes"]),
            markdown.size(own["working_set_bytes"]),
            f"{own['bandwidth_gb_per_s']:.0f} GB/s",
            markdown.microseconds(own["limit_microseconds"]),
            *(markdown.percent(limit_share(record, precision, call)) for call in ("step", "run")),
        ]
        for record in records
        for precision, own in record["own"].items()
    ]
    header = ["network", "precision", "touched", "working set", "read at", "limit, µs", "`step`", "`run`"]
    return markdown.table(header, rows)


def _render_missing(report: Record) -> list[str]:
    """Who was not there, once for each reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for record in report["comparisons"]:
        for name, reason in record["missing"].items():
            reasons.setdefault((name, reason), []).append(f"{record['model']} ({record['threads']})")
    lines = [f"- {name}: {reason} – {', '.join(where)}" for (name, reason), where in reasons.items()]
    lines += [f"- {name}: {reason}" for name, reason in report["failed"].items()]
    return ["## Missing", "", *(lines or ["Nobody."])]


def _render_recipes(report: Record) -> list[str]:
    """What was done to the network for each peer, with its versions."""
    return [
        f"- **{name}** ({', '.join(f'{package} {version}' for package, version in peer['versions'].items())}): "
        f"{peer['recipe']}"
        for name, peer in report["peers"].items()
    ]


def draw(report: Record, path: Path) -> None:
    """A line for every network and on it a point for every contender, on one thread, along a logarithmic axis."""
    records = [record for record in report["comparisons"] if record["threads"] == 1]
    own = [entry.name for entry in OWN_ENTRIES]
    picture, axes = figure(10.0, 1.0 + 0.55 * len(records))
    for position, name in enumerate([*own, *PEERS]):
        points = [
            (record["contenders"][name]["median"], row)
            for row, record in enumerate(records)
            if name in record["contenders"]
        ]
        mine = name in own
        axes.scatter(
            [x for x, _ in points],
            [y for _, y in points],
            s=45 if mine else 30,
            marker="o" if mine else "x",
            color=COLOURS[position],
            label=name,
        )
    axes.set_yticks(range(len(records)), [record["model"] for record in records])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("µs a tick, one thread")
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    save(picture, path)
