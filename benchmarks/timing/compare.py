"""AstroEdge beside its peers on one network: everybody opened, taking turns, summed up as plain data."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np

from benchmarks.peers import PEERS
from benchmarks.timing.contenders import Microseconds, OwnBundles, OwnEntry, OwnTicker
from benchmarks.timing.limits import limit_of
from benchmarks.timing.turns import Plan, attempt, take_turns

Opener = Callable[[], AbstractContextManager[Any]]
Record = dict[str, Any]
PERCENTILES = {"p10": 10, "median": 50, "p90": 90, "p99": 99}
COMPARED_WITH = {"fp32": "fp32", "int8": "int8", "int4": "int8"}  # no peer has int4


def compare(
    bundles: OwnBundles,
    entries: Sequence[OwnEntry],
    peers: Sequence[str],
    threads: int,
    plan: Plan,
    bandwidth: Mapping[int, float],
) -> Record:
    """Let `entries` of AstroEdge and `peers` take turns on the subject of `bundles` on so many threads.

    The record has, by contender, its precision, percentiles and the median of each round in microseconds of a tick; who
    is missing and why; by precision, what is known of AstroEdge's own bundle; by own entry, its ratio to the best peer
    of the same precision (int4 to the best int8 peer).
    """
    subject = bundles.subject
    with bound_to_cores(threads), ExitStack() as stack:
        tickers, missing = _open(stack, bundles, entries, peers, threads)
        print(f"{subject.name}, {threads} thread{'s'[: threads > 1]}: {len(tickers)} contenders", flush=True)
        turns = take_turns(tickers, subject.inputs, plan)
        timed = {entry.precision: tickers[entry.name] for entry in entries if entry.name in turns.times}
        own = {precision: _describe(bundles, precision, ticker, bandwidth) for precision, ticker in timed.items()}
    contenders: dict[str, Record] = {
        **{entry.name: {"precision": entry.precision, "own": True} for entry in entries},
        **{name: {"precision": PEERS[name].precision, "own": False} for name in peers},
    }
    times = {name: {**contenders[name], **summarise(rounds)} for name, rounds in turns.times.items()}
    return {
        "model": subject.name,
        "weights": subject.weights,
        "rate": subject.rate,
        "threads": threads,
        "contenders": times,
        "missing": {**missing, **turns.missing},
        "own": own,
        "ratios": {entry.name: ratio_to_best(entry, times) for entry in entries if entry.name in times},
    }


def _open(
    stack: ExitStack, bundles: OwnBundles, entries: Sequence[OwnEntry], peers: Sequence[str], threads: int
) -> tuple[dict[str, Any], dict[str, str]]:
    """Everybody who can be opened by name, and why the others cannot."""
    openers: dict[str, Opener] = {}
    for entry in entries:
        openers[entry.name] = partial(bundles.open, entry, threads)
    for name in peers:
        openers[name] = partial(PEERS[name].open, bundles.subject, threads)
    tickers: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for name, opener in openers.items():
        ticker = attempt(name, missing, partial(_enter, stack, opener))
        if ticker is not None:
            tickers[name] = ticker
        else:
            print(f"{bundles.subject.name}: without {name}: {missing[name]}", flush=True)
    return tickers, missing


def _enter(stack: ExitStack, opener: Opener) -> Any:
    return stack.enter_context(opener())


@contextmanager
def bound_to_cores(threads: int) -> Iterator[None]:
    """This thread on the last core for one thread, on every core for more."""
    before = os.sched_getaffinity(0)
    if threads == 1:
        os.sched_setaffinity(0, {max(before)})
    yield
    os.sched_setaffinity(0, before)


def _describe(bundles: OwnBundles, precision: str, ticker: OwnTicker, bandwidth: Mapping[int, float]) -> Record:
    """Sizes of a bundle, and of the session that was timed its threads, its firing rates and the limit of its tick."""
    manifest, rates = bundles.bundle(precision).manifest, ticker.rates()
    limit = limit_of(manifest, rates, bandwidth)
    return {
        "library_bytes": manifest.library.size,
        "weights_bytes": manifest.weights.size,
        "state_bytes": manifest.layout.state_size,
        "touched_bytes": limit.touched,
        "working_set_bytes": limit.working_set,
        "bandwidth_gb_per_s": round(limit.bandwidth, 1),
        "limit_microseconds": round(limit.microseconds, 4),
        "threads": ticker.session.threads,
        "firing_rates": {name: round(rate, 4) for name, rate in rates.items()},
    }


def summarise(rounds: Sequence[Microseconds]) -> dict[str, Any]:
    """Percentiles of single ticks over all rounds and the median of each, in microseconds."""
    samples = np.concatenate(rounds)
    percentiles = {name: round(float(np.percentile(samples, at)), 3) for name, at in PERCENTILES.items()}
    return {**percentiles, "ticks": len(samples), "rounds": [round(float(np.median(times)), 3) for times in rounds]}


def ratio_to_best(entry: OwnEntry, times: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """How many times faster an entry is than the fastest peer of its precision, by medians and by round."""
    peers = {
        name: times[name]["median"]
        for name in times
        if not times[name]["own"] and times[name]["precision"] == COMPARED_WITH[entry.precision]
    }
    if not peers:
        return None
    best = min(peers, key=peers.__getitem__)
    own = times[entry.name]
    by_round = [peer / mine for peer, mine in zip(times[best]["rounds"], own["rounds"], strict=True)]
    return {
        "peer": best,
        "ratio": round(peers[best] / own["median"], 2),
        "lowest_round": round(min(by_round), 2),
        "highest_round": round(max(by_round), 2),
    }
