"""Bars of profiles beside each other and beside other runtimes: speed, memory, energy, synaptic operations."""

from __future__ import annotations

from collections.abc import Sequence

from astroedge.step_profile import format_ratio
from astroedge.units import duration, joules, percent, size
from astroedge.workflows.pages.charts import ROW, Bar, bars
from astroedge.workflows.pages.elements import Figure, Missing, Section, Table
from astroedge.workflows.pages.shown import Record, Shown

MOST_BARS = 14
PADDING = 4


def bar_figure(name: str, title: str, text: str, items: Sequence[Bar], table: Table) -> Figure:
    """A figure of bars."""
    height = ROW * len(items) + PADDING
    return Figure.drawn(name, title, text, lambda width: bars(items, width), table, height=height)


def beside_section(profiles: Sequence[Shown]) -> Section | Missing:
    """Median steps of all profiles, each with what ONNX Runtime took beside it."""
    compared = [shown for shown in profiles if shown.record["comparison"] is not None]
    how = "How long ONNX Runtime takes for the same graph is measured beside the bundle, on a host:"
    command = "astroedge profile BUNDLE --compare GRAPH.onnx --json FILE"
    if not compared and len(profiles) == 1:
        return Missing("Beside ONNX Runtime", how, command)
    pairs = [pair for shown in profiles for pair in _pairs(shown)]
    longest = max(time for _, time, _ in pairs) or 1.0
    items = [
        Bar(label, duration(time), time / longest, colour, f"{label}: {duration(time)}")
        for label, time, colour in pairs
    ]
    lines = []
    for shown in compared:
        item = shown.record["comparison"]
        ratios = (format_ratio(item[name], 2) for name in ("ratio", "lowest", "highest"))
        runtime = f"{item['runtime']} {item['version']}"
        lines.append(
            (shown.label, runtime, duration(item["ours"]), duration(item["theirs"]), *ratios, str(item["rounds"]))
        )
    table = Table(
        "Median steps beside other runtimes",
        ("Profile", "runtime", "bundle", "runtime's", "ratio", "least", "largest", "rounds"),
        tuple(lines),
    )
    if not compared:
        table = Table(
            "Median steps",
            ("Profile", "median step"),
            tuple((s.label, duration(s.record["step"]["p50"])) for s in profiles),
        )
    figure = bar_figure("beside", "Median step", _ratio_text(compared), items, table)
    notes = () if compared else (f"{how} `{command}`.",)
    return Section("beside", "Beside other runtimes" if compared else "Beside each other", notes, (figure,))


def _pairs(shown: Shown) -> list[tuple[str, float, str]]:
    item = shown.record["comparison"]
    if item is None:
        return [(shown.label, shown.record["step"]["p50"], shown.colour)]
    where = " on the processor" if "gpu" in shown.record["machine"] else ""
    name = f"{shown.tag}{item['runtime']} {item['version']}{where}"
    return [(shown.label, item["ours"], shown.colour), (name, item["theirs"], "var(--peer)")]


def _ratio_text(compared: Sequence[Shown]) -> str:
    if not compared:
        return "The shorter the better."
    found = []
    for shown in compared:
        item = shown.record["comparison"]
        spread = f"{format_ratio(item['lowest'], 1)} to {format_ratio(item['highest'], 1)}"
        found.append(f"{shown.lead}{item['runtime']} takes {format_ratio(item['ratio'], 1)} times as long ({spread})")
    return "; ".join(found) + "."


# What is drawn to one scale where a single profile is shown; several have each kind to its own.
MEMORY = (("added memory", "peak memory"), ("device memory",), ("bundle size", "weights size"))


def memory_section(profiles: Sequence[Shown]) -> Section | Missing:
    """Memory and sizes, each kind to its own scale."""
    items, lines = [], []
    for names in MEMORY if len(profiles) == 1 else [(name,) for kinds in MEMORY for name in kinds]:
        having = [(s, name, found) for name in names for s in profiles if (found := s.reading(name)) is not None]
        most = max((found["value"] for _, _, found in having), default=0) or 1
        for shown, name, found in having:
            label = name if len(profiles) == 1 else f"{name} · {shown.letter}"
            text = size(int(found["value"]))
            share = max(found["value"], 0) / most
            items.append(Bar(label, text, share, shown.colour, f"{label}: {text}, {found['note']}"))
            lines.append((shown.label, name, text, found["label"], found["note"]))
    if not items:
        return Missing("Memory", "No memory was read: the kernel does not show /proc/self/status on this system.")
    text = "Memory of the process and sizes of files, each to a scale of its own."
    if len(profiles) > 1:
        text = "Each kind of memory is drawn to a scale of its own."
    table = Table("Memory and sizes", ("Profile", "what", "size", "standing", "note"), tuple(lines))
    return Section("memory", "Memory", (), (bar_figure("memory-bars", "Memory and sizes", text, items, table),))


def energy_section(profiles: Sequence[Shown]) -> Section | Missing:
    """Energy of a step, with its error where it was metered, and what sensors said of heat."""
    having = [(shown, found) for shown in profiles if (found := _energy(shown)) is not None]
    sensors = _sensor_table(profiles)
    if not having:
        reason = next(
            (item["note"] for item in profiles[0].record["readings"] if item["name"] == "energy per step"), ""
        )
        because = f" Here: {reason}." if reason else ""
        how = f"Energy is read from RAPL, a board's INA3221 or a meter.{because}"
        return Missing("Energy", how, "astroedge profile BUNDLE --energy --json FILE")
    most = max(found["joules_per_step"] + (found.get("error") or 0.0) for _, found in having) or 1.0
    items, lines = [], []
    for shown, found in having:
        value, error = found["joules_per_step"], found.get("error")
        ends = None if error is None else (max(value - error, 0) / most, (value + error) / most)
        text = joules(value) + ("" if error is None else f" ± {joules(error)}")
        low, high = ends or (None, None)
        items.append(
            Bar(shown.label, text, max(value, 0) / most, shown.colour, f"{shown.label}: {text}", low=low, high=high)
        )
        watts = ["–" if found.get(name) is None else f"{found[name]:.3g} W" for name in ("idle_watts", "busy_watts")]
        lines.append((shown.label, text, found["label"], *watts, found.get("sensor", "")))
    table = Table("Energy of a step", ("Profile", "a step", "standing", "idle", "busy", "source"), tuple(lines))
    figure = bar_figure("energy-bars", "Energy of a step", "Idle power taken off where it was measured.", items, table)
    return Section("energy", "Energy and heat", (), (figure,), (sensors,) if sensors else ())


def _energy(shown: Shown) -> Record | None:
    if "energy" in shown.record:
        found: Record = shown.record["energy"]
        return found
    reading = shown.reading("energy per step")
    if reading is None:
        return None
    return {"joules_per_step": reading["value"], "label": reading["label"], "sensor": reading["note"]}


def _sensor_table(profiles: Sequence[Shown]) -> Table | None:
    lines = [
        (shown.letter, item["name"], f"{item['value']:.4g} {item['unit']}".strip(), item["label"], item["note"])
        for shown in profiles
        for item in shown.record["readings"]
        if item["value"] is not None
        and (item["name"].startswith("temperature") or item["name"] in ("throttling", "power"))
    ]
    return Table("Sensors", ("Profile", "sensor", "value", "standing", "note"), tuple(lines)) if lines else None


def operations_section(profiles: Sequence[Shown]) -> Section | Missing:
    """Synaptic operations of each matrix: done, and what a dense product would do."""
    figures = [_operations(shown, len(profiles) > 1) for shown in profiles if shown.record["operations"]["matrices"]]
    if not figures:
        return Missing("Synaptic operations", "The step has no matrix product.")
    return Section("operations", "Synaptic operations", (), tuple(figures))


def _operations(shown: Shown, lettered: bool) -> Figure:
    operations = shown.record["operations"]
    matrices = sorted(operations["matrices"], key=lambda item: -item["dense"])
    most = max(item["dense"] for item in matrices) or 1
    items, lines = [], []
    for item in matrices:
        share = percent(item["effective"] / item["dense"]) if item["dense"] else "–"
        text = f"{item['effective']:,.0f} {item['kind']}s"
        tip = f"{item['name']}: {text} of {item['dense']:,}, {share}"
        colour = shown.colour if item["kind"] == "AC" else "var(--peer)"
        items.append(
            Bar(item["name"], f"{text} · {share}", item["effective"] / most, colour, tip, behind=item["dense"] / most)
        )
        lines.append(
            (
                item["name"],
                item["kind"],
                f"{item['effective']:,.1f}",
                f"{item['dense']:,}",
                share,
                item["label"],
                item["note"],
            )
        )
    total = operations["effective_acs"] + operations["effective_macs"]
    done = percent(total / operations["dense"]) if operations["dense"] else "–"
    title = f"Operations of {shown.label}" if lettered else "Operations of each matrix"
    text = f"{total:,.0f} of {operations['dense']:,} ({done}) are done in a step. Pale: all of a dense product; "
    text += "coloured: those done, additions for spikes (ACs), grey: multiplications (MACs)."
    if len(items) > MOST_BARS:
        text += f" The {MOST_BARS} largest of {len(items)} matrices."
    headers = ("Matrix", "kind", "done", "dense", "share", "standing", "note")
    name = f"operations-{shown.letter}"
    return bar_figure(name, title, text, items[:MOST_BARS], Table(title, headers, tuple(lines)))
