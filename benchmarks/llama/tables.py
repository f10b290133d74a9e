"""Tables of the comparison with llama.cpp: speed, limits and memory by context, speed by firing rate, boards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.llama.boards import BOARDS, reached_share, tokens_per_second
from benchmarks.networks.suite import HEADLINE_RATE
from benchmarks.report import markdown

Record = dict[str, Any]
CONTENDERS = ("astroedge fp32", "astroedge int8", "astroedge int4", "llama.cpp Q8_0", "llama.cpp Q4_0")
PAIRS = {"int8 / Q8_0": ("astroedge int8", "llama.cpp Q8_0"), "int4 / Q4_0": ("astroedge int4", "llama.cpp Q4_0")}
BEYOND_CACHES = 200_000_000  # weights from which on the main memory of a board, not its caches, feeds a token


def render_llama(report: Record) -> list[str]:
    """All tables of a report, and why anybody is missing."""
    lines = ["## Beside llama.cpp", "", *_render_networks(report), ""]
    for threads in sorted({record["threads"] for record in report["comparisons"]}):
        title = "one thread" if threads == 1 else f"{threads} threads"
        lines += [f"### Tokens a second on {title} (ms a token)", "", *_render_speed(report, threads), ""]
    lines += ["### Share of the limit", "", *_render_shares(report), ""]
    lines += ["### Memory of the process (of it, what a stream keeps), one thread", "", *_render_memory(report), ""]
    lines += ["### Tokens a second by firing rate, one thread", "", *_render_rates(report)]
    lines += ["### What boards could reach: estimates", "", *_render_boards(report), ""]
    return lines + _render_missing(report)


def contexts_of(report: Record, size: str, threads: int) -> list[Record]:
    """The comparisons of a size at the headline rate on so many threads, by context."""
    found = (record for record in report["comparisons"] if record["size"] == size and record["threads"] == threads)
    return sorted(
        (record for record in found if record["rate"] == HEADLINE_RATE), key=lambda record: int(record["context"])
    )


def rates_of(report: Record, size: str) -> list[Record]:
    """The comparisons of a size on one thread at its start, by firing rate; none where one rate was measured."""
    found = [
        record
        for record in report["comparisons"]
        if (record["size"], record["context"], record["threads"]) == (size, 0, 1)
    ]
    return sorted(found, key=lambda record: float(record["rate"])) if len(found) > 1 else []


def speed_of(record: Record, name: str) -> float | None:
    """Tokens a second of a contender, None where it is missing."""
    median = record["contenders"].get(name, {}).get("median")
    return None if median is None else 1e6 / float(median)


def _render_networks(report: Record) -> list[str]:
    """What stands beside each other."""
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items()) or "not installed"
    lines = [
        f"AstroSNNs firing at {HEADLINE_RATE:.0%} and decoders of about as many weights, all of them random; "
        f"llama.cpp by {versions}. A ratio is AstroEdge's tokens a second over llama.cpp's.",
        "",
    ]
    rows = []
    for name, size in report["sizes"].items():
        llama, weights = size["llama"], size["weights"]
        shape = f"{llama['layers']} layers of {llama['width']}, {llama['heads']} heads, {llama['kv_heads']} of keys"
        shape += f" and values, SwiGLU of {llama['feed_forward']:,}, {llama['vocabulary']:,} words"
        rows.append([name, *(markdown.millions(weights[word]) for word in ("astrosnn", "llama")), shape])
    return lines + markdown.table(["size", "AstroSNN", "llama", "the llama has"], rows)


def _render_speed(report: Record, threads: int) -> list[str]:
    header = ["size", "tokens before", *CONTENDERS, *PAIRS]
    rows = []
    for record in _at_headline_rate(report, threads):
        speeds = {name: speed_of(record, name) for name in CONTENDERS}
        ratios = [_over(speeds[own], speeds[other]) for own, other in PAIRS.values()]
        cells = [_speed_cell(speed) for speed in speeds.values()]
        rows.append(
            [record["size"], f"{record['context']:,}", *cells, *(f"**{markdown.times(ratio)}**" for ratio in ratios)]
        )
    return markdown.table(header, rows)


def _render_memory(report: Record) -> list[str]:
    rows = [
        [record["size"], f"{record['context']:,}", *(_memory_cell(record, name) for name in CONTENDERS)]
        for record in _at_headline_rate(report, 1)
    ]
    return markdown.table(["size", "tokens before", *CONTENDERS], rows)


def _render_shares(report: Record) -> list[str]:
    """How much of what is read as fast as this machine reads memory, by threads."""
    lines = [
        "The bytes that a token must touch, over the time it takes and the speed at which as many threads read as much "
        "memory; what a cache holds can exceed it. An AstroSNN does the same work after any number of tokens: where "
        "its rows differ, the machine did.",
        "",
    ]
    rows = []
    for threads in sorted({record["threads"] for record in report["comparisons"]}):
        for record in _at_headline_rate(report, threads):
            found = (record["contenders"].get(name) for name in CONTENDERS)
            shares = (None if one is None else reached_share(one, one["bandwidth_gb_per_s"]) for one in found)
            rows.append([record["size"], str(threads), f"{record['context']:,}", *map(markdown.percent, shares)])
    return lines + markdown.table(["size", "threads", "tokens before", *CONTENDERS], rows)


def _render_rates(report: Record) -> list[str]:
    """A table for each size; the rates on top were aimed at, the row below says what fired in int8."""
    lines: list[str] = []
    for size in report["sizes"]:
        records = rates_of(report, size)
        if records:
            rows = [
                [name, *(markdown.microseconds(speed_of(record, name)) for record in records)] for name in CONTENDERS
            ]
            for title, (own, other) in PAIRS.items():
                ratios = [_over(speed_of(record, own), speed_of(record, other)) for record in records]
                rows.append([title, *(f"**{markdown.times(ratio)}**" for ratio in ratios)])
            fired = [record["contenders"].get("astroedge int8", {}).get("firing", {}).get("mean") for record in records]
            rows.append(["fired, on average", *("–" if rate is None else f"{rate:.1%}" for rate in fired)])
            lines += [*markdown.table([size, *(f"{record['rate']:.0%}" for record in records)], rows), ""]
    return lines


def _render_boards(report: Record) -> list[str]:
    """Tokens a second at each board's bandwidth, from all cores here; sizes that outgrow caches alone."""
    published = ", ".join(f"{name} {speed:g} GB/s" for name, speed in BOARDS.items())
    lines = [
        "**Not measured on a board.** Bytes that a token must touch, over the published bandwidth of the board's "
        f"memory ({published}) times the share of this machine's bandwidth that the same runtime reaches here on all "
        "cores. Where a board's cores cannot keep up with its memory, it is slower.",
        "",
    ]
    rows: list[list[str]] = []
    threads = max((record["threads"] for record in report["comparisons"]), default=1)
    for record in _at_headline_rate(report, threads):
        if report["sizes"][record["size"]]["weights"]["llama"] >= BEYOND_CACHES:
            rows += _board_rows(record)
    return lines + markdown.table(["size", "tokens before", "", *CONTENDERS[1:]], rows)


def _board_rows(record: Record) -> Iterator[list[str]]:
    """Bytes touched and the share reached of one comparison, then a row for each board."""
    found = [record["contenders"].get(name) for name in CONTENDERS[1:]]
    place = [record["size"], f"{record['context']:,}"]
    yield [*place, "touched", *("–" if one is None else markdown.size(one["touched_bytes"]) for one in found)]
    shares = (None if one is None else reached_share(one, one["bandwidth_gb_per_s"]) for one in found)
    yield [*place, "share reached here", *map(markdown.percent, shares)]
    for board, speed in BOARDS.items():
        estimates = [None if one is None else tokens_per_second(one, one["bandwidth_gb_per_s"], speed) for one in found]
        yield [*place, board, *("–" if one is None else f"≈ {markdown.microseconds(one)}" for one in estimates)]


def _render_missing(report: Record) -> list[str]:
    """Who was not there and what failed, once for each reason."""
    reasons: dict[tuple[str, str], set[str]] = {}
    for record in report["comparisons"]:
        for name, reason in record["missing"].items():
            reasons.setdefault((name, reason), set()).add(record["size"])
    lines = [f"- {name}: {reason} – {', '.join(sorted(sizes))}" for (name, reason), sizes in reasons.items()]
    return lines + [f"- {name}: {reason}" for name, reason in report["failed"].items()]


def _at_headline_rate(report: Record, threads: int) -> Iterator[Record]:
    for size in report["sizes"]:
        yield from contexts_of(report, size, threads)


def _over(own: float | None, other: float | None) -> float | None:
    return None if own is None or other is None else own / other


def _speed_cell(speed: float | None) -> str:
    return "–" if speed is None else f"{markdown.microseconds(speed)} ({markdown.microseconds(1e3 / speed)})"


def _memory_cell(record: Mapping[str, Any], name: str) -> str:
    found = record["contenders"].get(name)
    return "–" if found is None else f"{markdown.size(found['resident_bytes'])} ({markdown.size(found['state_bytes'])})"


def names_present(records: Sequence[Record]) -> list[str]:
    """The contenders that any of some comparisons has, in the order of the tables."""
    return [name for name in CONTENDERS if any(name in record["contenders"] for record in records)]
