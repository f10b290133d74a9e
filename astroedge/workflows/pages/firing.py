"""Who fires and how often: rates of layers, rasters of single neurons, counts where those cannot be seen."""

from __future__ import annotations

from collections.abc import Sequence

from astroedge.units import percent
from astroedge.workflows.pages.charts import Bar, Line, lines, raster
from astroedge.workflows.pages.compared import MOST_BARS, bar_figure
from astroedge.workflows.pages.elements import Figure, Missing, Section, Table
from astroedge.workflows.pages.shown import Record, Shown

MOST_RASTERS = 6  # of a page that shows one profile; several share twice as many, but have at least one each
COMMAND = "astroedge profile BUNDLE --html FILE"


def firing_section(profiles: Sequence[Shown]) -> Section | Missing:
    """Rates of every profile with spikes, then the rasters of each."""
    spiking = [shown for shown in profiles if shown.record["spikes"]]
    if not spiking:
        return Missing("Firing", "The step has no spikes.")
    several = len(profiles) > 1
    most = max(1, 2 * MOST_RASTERS // len(profiles)) if several else MOST_RASTERS
    figures = [figure for shown in spiking for figure in _of_profile(shown, several, most)]
    notes = []
    silent = [shown.letter for shown in profiles if not shown.record["spikes"]]
    if silent:
        notes.append(f"{', '.join(silent)}: the step has no spikes.")
    without = [shown.letter for shown in spiking if "raster" not in shown.record]
    if without:
        whose = f" of {', '.join(without)}" if several else ""
        notes.append(f"No raster{whose}: `astroedge profile BUNDLE --raster --json FILE` records one.")
    return Section("firing", "Firing", tuple(notes), tuple(figures))


def _of_profile(shown: Shown, several: bool, most: int) -> list[Figure]:
    rasters = shown.record.get("raster", [])
    seen = [item for item in rasters if item["neurons"]]
    sizes = {item["name"]: item["size"] for item in shown.record["spikes"]}
    figures = [_rates(shown, several)]
    figures += [_raster(shown, n, item, sizes.get(item["name"]), several) for n, item in enumerate(seen[:most])]
    hidden = [item for item in rasters if not item["neurons"]] + seen[most:]
    figures += [_counts(shown, hidden, sizes, several)] if hidden else []
    return figures


def _rates(shown: Shown, several: bool) -> Figure:
    spikes = shown.record["spikes"]
    most = max(max(item["rate"], item["export_rate"]) for item in spikes) or 1.0
    items = [
        Bar(
            f"{item['name']} · {item['size']:,} neurons",
            percent(item["rate"]),
            item["rate"] / most,
            shown.colour,
            f"{item['name']}: {percent(item['rate'])} here, {percent(item['export_rate'])} at export",
            mark=item["export_rate"] / most,
        )
        for item in spikes
    ]
    total = sum(item["size"] for item in spikes)
    mean = sum(item["size"] * item["rate"] for item in spikes) / total
    text = f"Of {total:,} neurons {percent(mean)} fire at a tick. Upright tick: the rate on the export's example data."
    if len(items) > MOST_BARS:
        text += f" The first {MOST_BARS} of {len(items)} spike tensors."
    title = f"Firing rates of {shown.label}" if several else "Firing rates"
    table = Table(
        title,
        ("Spike tensor", "neurons", "rate", "rate at export"),
        tuple((i["name"], f"{i['size']:,}", percent(i["rate"]), percent(i["export_rate"])) for i in spikes),
    )
    return bar_figure(f"rates-{shown.letter}", title, text, items[:MOST_BARS], table)


def _raster(shown: Shown, number: int, item: Record, size: int | None, several: bool) -> Figure:
    neurons, ticks = item["neurons"], item["ticks"]
    fired = [0] * len(neurons)
    events = [(tick, place) for tick, place in item["events"] if tick < ticks and place < len(neurons)]
    for _, place in events:
        fired[place] += 1
    whole = f" of {size:,}" if size is not None and size > len(neurons) else ""
    text = f"{len(events):,} spikes of {len(neurons)}{whole} neurons in {ticks} ticks from a reset, "
    text += f"seen as {item['source']}."
    whose = f" · {shown.letter}" if several else ""
    title = f"Raster of {item['name']}{whose}"
    table = Table(
        title,
        ("Neuron", "spikes", "share of ticks", "first at tick"),
        tuple(
            (str(neuron), f"{count:,}", percent(count / ticks), _first(events, place))
            for place, (neuron, count) in enumerate(zip(neurons, fired, strict=True))
        ),
    )
    return Figure.drawn(
        f"raster-{shown.letter}-{number}",
        title,
        text,
        lambda width: raster(events, len(neurons), ticks, shown.colour),
        table,
        height=max(150, min(300, 70 + 4 * len(neurons))),
    )


def _first(events: Sequence[tuple[int, int]], place: int) -> str:
    return str(min((tick for tick, other in events if other == place), default="–"))


def _counts(shown: Shown, hidden: Sequence[Record], sizes: dict[str, int], several: bool) -> Figure:
    """Shares of neurons that fire, tick by tick, of tensors whose neurons are not seen or not drawn."""
    items, lines_of_table = [], []
    for index, item in enumerate(hidden[:MOST_RASTERS]):
        size = sizes.get(item["name"]) or max(item["counts"], default=1) or 1
        smooth = _means(item["counts"], 5)
        points = tuple((tick, 100 * count / size) for tick, count in smooth)
        items.append(Line(str(index + 1), f"var(--s{index})", points))
    for index, item in enumerate(hidden):
        size, counts = sizes.get(item["name"], 0), item["counts"]
        mean = percent(sum(counts) / len(counts) / size) if counts and size else "–"
        number = str(index + 1) if index < MOST_RASTERS else "–"
        lines_of_table.append((f"{number}: {item['name']}", mean, f"{max(counts, default=0):,}", item["source"]))
    named = ", ".join(f"{n + 1} {item['name']}" for n, item in enumerate(hidden[:MOST_RASTERS]))
    whose = f" · {shown.letter}" if several else ""
    title = f"Neurons that fire together{whose}"
    text = f"Share of each tensor's neurons, mean of 5 ticks: {named}."
    if any(not item["neurons"] for item in hidden):
        text += " Their single neurons are not shown: they stay inside the step."
    return Figure.drawn(
        *(f"counts-{shown.letter}", title, text),
        lambda width: lines(items, ("tick", "neurons that fire, %")),
        Table(title, ("Spike tensor", "mean", "most at a tick", "why no raster"), tuple(lines_of_table)),
    )


def _means(counts: Sequence[int], width: int) -> list[tuple[int, float]]:
    """Means of consecutive stretches of so many ticks, each at its first."""
    parts = ((first, counts[first : first + width]) for first in range(0, len(counts), width))
    return [(first, sum(part) / len(part)) for first, part in parts]
