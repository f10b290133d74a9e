"""Section "llama": a token of AstroSNN beside one of a llama of the same size in llama.cpp, by context and firing rate.

Every contender lives in a process of its own with nothing in it but Python, NumPy and its runtime, so that memory can
be compared; they take turns as everywhere. Points are measured independently: what was measured at others on this
machine stays in the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from astroedge.bundle.container import Bundle
from benchmarks.llama import prepare
from benchmarks.llama.pictures import draw_llama
from benchmarks.llama.prepare import LLAMA, OWN, QUANTISATIONS, SIZES, Size
from benchmarks.llama.tables import render_llama
from benchmarks.llama.token_work import TokenWork
from benchmarks.networks.suite import HEADLINE_RATE
from benchmarks.processes.stream import ProcessStream, open_stream
from benchmarks.timing.bandwidth import bandwidth_at, measure_bandwidth
from benchmarks.timing.compare import Record, summarise
from benchmarks.timing.contenders import PRECISIONS
from benchmarks.timing.limits import limit_of
from benchmarks.timing.settings import CORES, Settings
from benchmarks.timing.turns import Plan, attempt, take_turns

CONTEXTS, QUICK_CONTEXTS = (0, 512, 2048, 8192), (0, 512)
TOKENS = 512
STREAMED = (2**25, 2**28, 2**30, 2**31)  # bytes that all cores go over to tell how fast memory is read


class Point(NamedTuple):
    """Where a comparison is made."""

    rate: float
    context: int
    threads: int


Opener = Callable[[], AbstractContextManager[ProcessStream]]
States = dict[str, dict[int, str | None]]


def measure(settings: Settings, bandwidth: Mapping[int, float]) -> Record:
    """Every size that is asked for: by context on one thread and on all cores, then by firing rate on one thread.

    Raises RuntimeError where llama.cpp is not installed: alone, AstroEdge is in the other sections.
    """
    _check_installed()
    print("measuring how fast all cores read memory", flush=True)
    streamed = measure_bandwidth(STREAMED, CORES)
    report: Record = {
        "versions": prepare.versions(),
        "bandwidth_all_gb_per_s": {str(size): round(speed, 1) for size, speed in streamed.items()},
        "sizes": {},
        "comparisons": [],
        "failed": {},
    }
    for name in settings.sizes:
        states = attempt(name, report["failed"], partial(_prepare, SIZES[name], settings))
        if states is None:
            print(f"{name} failed: {report['failed'][name]}", flush=True)
            continue
        report["sizes"][name] = _describe(SIZES[name])
        for point in _points(SIZES[name], settings):
            place = _place({"size": name, **point._asdict()})
            print(place, flush=True)
            reads = bandwidth if point.threads == 1 else streamed
            measured = partial(_compare, SIZES[name], point, states, settings.plan, reads)
            record = attempt(place, report["failed"], measured)
            report["comparisons"] += [record] if record is not None else []
    return report


def make_ready(settings: Settings) -> None:
    """Make all files that measuring these sizes takes, and nothing else. Raises as `measure` does."""
    _check_installed()
    for name in settings.sizes:
        _prepare(SIZES[name], settings)


def merge(earlier: Record, report: Record) -> Record:
    """The report with what an earlier one of the same machine, versions and networks says of points not tried in it."""
    if earlier["machine"] != report["machine"] or earlier["versions"] != report["versions"]:
        print("what was measured at other points is left out: it is of another machine or other versions", flush=True)
        return report
    tried = {*map(_place, report["comparisons"]), *report["failed"]}
    sizes = {**earlier["sizes"], **report["sizes"]}
    same = {name for name, described in earlier["sizes"].items() if name in SIZES and sizes[name] == described}
    kept = [item for item in earlier["comparisons"] if item["size"] in same and _place(item) not in tried]
    failed = {
        place: reason
        for place, reason in earlier["failed"].items()
        if place not in tried and not (place in SIZES and place in report["sizes"])
    }
    return {
        **report,
        "sizes": {name: sizes[name] for name in SIZES if name in sizes},
        "comparisons": sorted([*kept, *report["comparisons"]], key=_order),
        "failed": {**failed, **report["failed"]},
    }


def _place(record: Record) -> str:
    """The words for where a comparison was made."""
    rate, context, threads = (record[name] for name in Point._fields)
    return f"{record['size']}, {context:,} tokens, {rate:.0%} firing, threads: {threads}"


def _order(record: Record) -> tuple[float, ...]:
    """By size, the headline rate by context first."""
    swept = record["rate"] != HEADLINE_RATE
    return (list(SIZES).index(record["size"]), swept, record["context"], record["threads"], record["rate"])


def render(report: Record) -> list[str]:
    """Tokens a second, memory, the sweep of rates, and what boards could reach."""
    return render_llama(report)


def draw(report: Record, path: Path) -> None:
    """Tokens a second and memory over context, and tokens a second over firing rate, by size."""
    draw_llama(report, path)


def _check_installed() -> None:
    reason = prepare.missing_packages()
    if reason is not None:
        raise RuntimeError(f"{reason}; pip install '.[llama]' builds it, or says what it lacks")


def _contexts(settings: Settings) -> tuple[int, ...]:
    return QUICK_CONTEXTS if settings.quick else CONTEXTS


def _prepare(size: Size, settings: Settings) -> States:
    """What each contender of a size goes on from, by contender and context; files that are missing are made."""
    contexts, given = _contexts(settings), () if settings.rates is None else settings.rates
    others = [f"{rate:.0%}" for rate in given if rate not in (*size.swept, HEADLINE_RATE)]
    if others:
        print(f"{size.name}: no network is made that fires at {' or '.join(others)}", flush=True)
    prepare.prepare(size, contexts, _swept(size, settings))
    states = {precision: prepare.own_states(size, precision, contexts) for precision in size.precisions}
    return {**states, "llama": prepare.llama_states(size, contexts)}


def _points(size: Size, settings: Settings) -> Iterator[Point]:
    """Rate, context and threads of every comparison of a size."""
    for context in _contexts(settings):
        for threads in settings.threads:
            yield Point(HEADLINE_RATE, context, threads)
    for rate in _swept(size, settings):
        yield Point(rate, 0, 1)


def _swept(size: Size, settings: Settings) -> Sequence[float]:
    """The rates of a size beside the headline rate, of those asked for."""
    asked = size.swept if settings.rates is None else settings.rates
    return () if settings.quick else [rate for rate in size.swept if rate in asked]


def _describe(size: Size) -> Record:
    """Weights and shapes of the two networks."""
    llama = size.llama
    weights = {"astrosnn": prepare.own_weights(size), "llama": llama.weights}
    keys = ("vocabulary", "width", "heads", "kv_heads", "feed_forward", "layers")
    return {"weights": weights, "llama": {key: getattr(llama, key) for key in keys}}


def _compare(size: Size, point: Point, states: States, plan: Plan, reads: Mapping[int, float]) -> Record:
    """Everybody at one point takes turns; times, memory and what a token touches, by contender.

    `reads` is how fast so many threads read memory.
    """
    tokens = np.random.default_rng(1).integers(0, size.llama.vocabulary, (TOKENS, 1))
    streams: dict[str, ProcessStream] = {}
    missing: dict[str, str] = {}
    with ExitStack() as stack:
        for name, opener in _openers(size, point, states).items():
            stream = attempt(name, missing, partial(_enter, stack, opener))
            if stream is not None:
                streams[name] = stream
        turns = take_turns(streams, {"token": tokens}, plan)
        found = {name: {**streams[name].memory(), **streams[name].ask("facts")} for name in turns.times}
    contenders = {
        name: {**summarise(rounds), **_account(size, point, name, found[name], reads)}
        for name, rounds in turns.times.items()
    }
    return {
        "size": size.name,
        **point._asdict(),
        "contenders": contenders,
        "missing": {**missing, **turns.missing},
    }


def _openers(size: Size, point: Point, states: States) -> dict[str, Opener]:
    """How each contender is opened, by its name."""
    openers: dict[str, Opener] = {}
    rate, context, threads = point
    for word, precision in PRECISIONS.items():
        if precision in size.precisions_at(rate):
            # A stream at another rate than that of its states starts afresh.
            state = states[precision][context] if rate == HEADLINE_RATE else None
            work = TokenWork(str(prepare.bundle(size, rate, precision)), threads, context, state)
            openers[f"astroedge {word}"] = partial(open_stream, f"astroedge {word}", OWN, work)
    for word in QUANTISATIONS:
        work = TokenWork(str(prepare.gguf(size, word)), threads, context, states["llama"][context])
        openers[f"llama.cpp {word}"] = partial(open_stream, f"llama.cpp {word}", LLAMA, work)
    return openers


def _enter(stack: ExitStack, opener: Opener) -> ProcessStream:
    return stack.enter_context(opener())


def _account(size: Size, point: Point, name: str, found: Mapping[str, Any], reads: Mapping[int, float]) -> Record:
    """Memory of the process, what the stream keeps, what a token touches and how fast that could be read."""
    runtime, word = name.split()
    own: Record = {f"{key}_bytes": found[key] for key in ("resident", "peak")}
    own["threads"] = found["threads"]
    if runtime == "astroedge":
        manifest = Bundle.load(prepare.bundle(size, point.rate, PRECISIONS[word])).manifest
        limit = limit_of(manifest, found["firing_rates"], reads)
        rates = found["firing_rates"].values()
        own |= {"weight_bytes": manifest.weights.size, "state_bytes": manifest.layout.state_size}
        own |= {"touched_bytes": limit.touched, "working_set_bytes": limit.working_set}
        own["firing"] = {"lowest": min(rates), "highest": max(rates), "mean": round(sum(rates) / len(rates), 4)}
    else:
        kept = size.llama.cache_bytes(found["cells"])
        own |= {"weight_bytes": found["weight_bytes"], "state_bytes": kept, "build": found["build"]}
        own["touched_bytes"] = size.llama.touched_bytes(word, point.context)
        own["working_set_bytes"] = found["weight_bytes"] + kept
    own["bandwidth_gb_per_s"] = round(bandwidth_at(reads, own["working_set_bytes"]), 1)
    return own
