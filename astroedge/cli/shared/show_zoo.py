"""What `astroedge zoo` prints: tables of the trained networks, by their tasks, and one network in full."""

from __future__ import annotations

from collections.abc import Sequence

from astroedge.cli.shared.display import duration, percent, print_line, print_table, shape, size
from astroedge.zoo_record import ZooRecord

_PRECISIONS = ("float32", "int8", "int4")
_HEADERS = ("", "paper", "weights", "state", "firing", "seeds", *_PRECISIONS, "a tick")


def show_zoo(records: Sequence[ZooRecord]) -> None:
    """A table a task, for results compare within one alone."""
    tasks = {(record.task, record.data, record.metric): None for record in records}
    for task in tasks:
        rows = [_row(record) for record in records if (record.task, record.data, record.metric) == task]
        print_table(_HEADERS, rows, f"{task[0]}, {task[2]} on {task[1]}")
    if records:
        name = records[0].name
        print_line("seeds: mean and standard deviation of training with several; float32, int8, int4: the weights that")
        print_line("ship, compiled. All on held-out data.")
        print_line(f"In full: astroedge zoo {name}. To export one: astroedge export zoo:{name} -o {name}.onnx")
    else:
        print_line("There are no trained networks in the package astroedge-zoo that is installed.")


def _row(record: ZooRecord) -> tuple[str, ...]:
    step, seeds = record.step, record.seeds
    results = [record.precisions[name].result if name in record.precisions else None for name in _PRECISIONS]
    return (
        record.name,
        record.paper,
        f"{step.weights:,}",
        size(step.state_bytes),
        _firing(list(step.firing_rates.values())),
        f"{_result(record, seeds.mean)} ± {_spread(record)}",
        *("–" if value is None else _result(record, value) for value in results),
        duration(1000 * step.microseconds),
    )


def _result(record: ZooRecord, value: float) -> str:
    """93.5 %, or 1.669 bits."""
    return f"{100 * value:.1f} %" if record.metric == "accuracy" else f"{value:.3f}"


def _spread(record: ZooRecord) -> str:
    return _result(record, record.seeds.spread).removesuffix(" %")


def _firing(rates: Sequence[float]) -> str:
    """2.1–12 %; – for a network without spikes."""
    if not rates:
        return "–"
    least, most = percent(min(rates)), percent(max(rates))
    return most if least == most else f"{least.removesuffix(' %')}–{most}"


def show_network(record: ZooRecord) -> None:
    """All that a record says, and what to type next."""
    arguments = ", ".join(f"{name}={value}" for name, value in record.arguments.items())
    example = ", ".join(f"{name} {shape(extents)}" for name, extents in record.example.items())
    print_line(f"{record.name}: {record.title}, arXiv {record.paper}. {record.task[:1].upper()}{record.task[1:]}.")
    print_line(f"What is confirmed: {record.confirmed.rstrip('.')}.")
    print_line(f"Data: {record.data}. Classes: {', '.join(record.labels) or 'without names'}.")
    print_line(f"Model: {record.model}({arguments}) of astroedge.models, read out by {record.readout}.")
    print_line(f"Example: {example}.\n")
    _show_results(record)
    rates = record.step.firing_rates.items()
    print_table(("spikes", "firing rate"), [(name, percent(rate)) for name, rate in rates])
    _show_costs(record)
    print_line(f"Next: astroedge export zoo:{record.name} -o {record.name}.onnx")


def _show_results(record: ZooRecord) -> None:
    rows = [
        (f"this network, {name}", _result(record, item.result), size(item.bytes))
        for name, item in sorted(record.precisions.items(), key=lambda pair: -pair[1].bytes)
    ]
    rows += [(name, _result(record, value), "") for name, value in record.baselines.items()]
    print_table(("", record.metric, "weights"), rows, "Results on held-out data")
    seeds = record.seeds
    results = ", ".join(_result(record, value) for value in seeds.results)
    print_line(
        f"Seeds: {results}; mean {_result(record, seeds.mean)} ± {_spread(record)}. The weights are those of the seed "
        f"with {_result(record, seeds.results[seeds.kept])}.\n"
    )


def _show_costs(record: ZooRecord) -> None:
    step, training = record.step, record.training
    print_line(
        f"A tick: {duration(1000 * step.microseconds)}, {step.synops:,.0f} synaptic operations, {step.macs:,.0f} were "
        f"every value there; {step.weights:,} weights, {size(step.state_bytes)} of state."
    )
    versions = "".join(f", {name} {version}" for name, version in training.versions.items())
    print_line(f"Trained by: {training.command}, {training.seconds:,.0f} s a seed on {training.machine}{versions}.")
