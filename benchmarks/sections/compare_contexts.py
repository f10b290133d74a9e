"""Section "contexts": a token of AstroSNN beside one of a transformer decoder of the same size, by tokens before it.

A transformer reads the keys and values of the whole context for every token, so latency and memory grow with it; the
state of an AstroSNN has one size.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.networks.subjects import make_subject
from benchmarks.report import markdown
from benchmarks.report.pictures import COLOURS, grid, save
from benchmarks.sections.decoder import DecoderGraphs, DecoderStream
from benchmarks.timing.compare import Record, bound_to_cores, summarise
from benchmarks.timing.contenders import STEP, OwnBundles, OwnEntry, Ticker
from benchmarks.timing.settings import Settings
from benchmarks.timing.turns import attempt, take_turns

MODEL = "astrosnn-25m"
CONTEXTS, QUICK_CONTEXTS = (128, 256, 512, 1024, 2048, 4096, 8192), (128, 1024)
ENTRIES = (OwnEntry("fp32", STEP), OwnEntry("int8", STEP))
PRECISIONS = ("fp32", "int8")


def decoder_name(precision: str) -> str:
    """What the transformer is called in the results."""
    return f"transformer {precision} (onnxruntime)"


LINES = (*(f"{entry.name}" for entry in ENTRIES), *map(decoder_name, PRECISIONS))


def measure(settings: Settings, bandwidth: Mapping[int, float]) -> Record:
    """Compare at every context, one thread."""
    bundles, graphs = OwnBundles(make_subject(MODEL)), DecoderGraphs()
    report: Record = {
        "weights": {"astrosnn": bundles.subject.weights, "transformer": graphs.weights},
        "comparisons": [],
        "failed": {},
    }
    with bound_to_cores(1):
        for context in QUICK_CONTEXTS if settings.quick else CONTEXTS:
            record = attempt(f"{context}", report["failed"], partial(_at, context, bundles, graphs, settings))
            report["comparisons"] += [record] if record is not None else []
    return report


def _at(context: int, bundles: OwnBundles, graphs: DecoderGraphs, settings: Settings) -> Record:
    """All contenders at one context."""
    print(f"context of {context} tokens", flush=True)
    inputs = bundles.subject.inputs
    tokens = np.resize(inputs["token"], (context, 1))
    with ExitStack() as stack:
        own = {entry.name: stack.enter_context(bundles.open(entry, 1)) for entry in ENTRIES}
        for ticker in own.values():
            ticker.session.run(token=tokens)
        decoders = {
            decoder_name(precision): DecoderStream(graphs.models[precision], graphs.decoder.config, context, 1)
            for precision in PRECISIONS
        }
        tickers: dict[str, Ticker] = {**own, **decoders}
        turns = take_turns(tickers, inputs, settings.plan)
        memory = {name: len(ticker.session.state) for name, ticker in own.items()}
        memory |= {name: stream.cache_bytes for name, stream in decoders.items()}
    contenders = {name: {**summarise(rounds), "state_bytes": memory[name]} for name, rounds in turns.times.items()}
    return {"context": context, "contenders": contenders, "missing": turns.missing}


def render(report: Record) -> list[str]:
    """A row for each context: latencies, their ratio, bytes that a stream keeps."""
    weights = report["weights"]
    lines = [
        "## Latency and memory of a token by context, one thread",
        "",
        f"AstroSNN ({markdown.millions(weights['astrosnn'])} weights, firing at 10 %) and a transformer decoder "
        f"({markdown.millions(weights['transformer'])} weights) with its key–value cache in ONNX Runtime; µs a token, "
        "and what a stream keeps between tokens.",
        "",
    ]
    own, other = LINES[0], decoder_name("fp32")
    rows = []
    for record in report["comparisons"]:
        medians = {name: _of(record, name, "median") for name in LINES}
        mine, theirs = medians[own], medians[other]
        ratio = theirs / mine if mine is not None and theirs is not None else None
        kept = [_of(record, name, "state_bytes") for name in (own, other)]
        rows.append(
            [
                f"{record['context']:,}",
                *(markdown.microseconds(median) for median in medians.values()),
                f"**{markdown.times(ratio)}**",
                *("–" if nbytes is None else markdown.size(nbytes) for nbytes in kept),
            ]
        )
    header = ["context", *LINES, "fp32 ratio", "AstroSNN keeps", "transformer keeps"]
    lines += [*markdown.table(header, rows), ""]
    return lines + [f"- {context} tokens: {reason}" for context, reason in report["failed"].items()]


def draw(report: Record, path: Path) -> None:
    """Latency and memory over context, side by side, logarithmic."""
    picture, panels = grid(2)
    for panel, quantity, label in zip(panels, ("median", "state_bytes"), ("µs a token", "bytes kept"), strict=True):
        for position, name in enumerate(LINES):
            points = [
                (record["context"], value)
                for record in report["comparisons"]
                if (value := _of(record, name, quantity)) is not None
            ]
            style = "-" if position < len(ENTRIES) else "--"
            panel.plot(
                [x for x, _ in points],
                [y for _, y in points],
                style,
                marker=".",
                color=COLOURS[2 * position],
                label=name,
            )
        panel.set_xscale("log")
        panel.set_yscale("log")
        contexts = [record["context"] for record in report["comparisons"]]
        panel.set_xticks(contexts, [f"{context:,}" for context in contexts], fontsize=8)
        panel.minorticks_off()
        panel.set_xlabel("tokens before")
        panel.set_ylabel(label)
    panels[0].legend(fontsize=7, frameon=False)
    save(picture, path)


def _of(record: Record, name: str, quantity: str) -> float | None:
    found: float | None = record["contenders"].get(name, {}).get(quantity)
    return found
