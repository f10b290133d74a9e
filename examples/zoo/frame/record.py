"""The record and the checkpoint of a trained network, as `astroedge zoo` reads them, and the README's tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors.torch

from astroedge.replace_file import replace_file
from astroedge.runtimes.profiling.sensors import describe_machine
from frame.fit import Runs, example_ticks
from frame.measure import PRECISIONS
from frame.recipe import BITS, Recipe, Series

FOLDER = Path(__file__).parents[1]
PACKAGE = FOLDER / "astroedge_zoo"
README, BEGIN, END = FOLDER / "README.md", "<!-- results -->\n", "<!-- end of results -->\n"
FORMAT = 1
MOST_BYTES = 1_000_000  # of a checkpoint
DIGITS = 4  # of a measurement that are kept
COMMAND = "python examples/zoo/train_zoo.py"


def write(recipe: Recipe, runs: Runs, held_out: Series, measured: dict[str, Any]) -> None:
    """Write NAME.safetensors and NAME.json into the package; `measured` joins the record.

    Raises ValueError for a checkpoint that is too large to ship.
    """
    tensors = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in runs.model.state_dict().items()
    }
    example = example_ticks(held_out)
    content = safetensors.torch.save({**tensors, "example.x": example})
    if len(content) > MOST_BYTES:
        raise ValueError(f"The checkpoint of {recipe.name} takes {len(content):,} bytes; {MOST_BYTES:,} are the most.")
    record = {
        "format": FORMAT,
        "name": recipe.name,
        "title": recipe.title,
        "paper": recipe.paper,
        "confirmed": recipe.confirmed,
        "task": recipe.task.title,
        "data": recipe.task.data,
        "labels": list(recipe.task.labels),
        "model": recipe.model,
        "arguments": dict(recipe.arguments),
        "readout": recipe.task.readout,
        "metric": recipe.task.metric,
        "example": {"x": list(example.shape)},
        "seeds": {"results": runs.results, "mean": runs.mean, "spread": runs.spread, "kept": runs.kept},
        "training": {
            "command": f"{COMMAND} {recipe.name}",
            "seconds": runs.seconds,
            "machine": describe_machine()["cpu"],
        },
        **measured,
    }
    replace_file(PACKAGE / f"{recipe.name}.safetensors", content)
    _write(record)


def renew(name: str, measured: dict[str, Any]) -> None:
    """Put what was measured anew into the record of this name."""
    _write({**json.loads((PACKAGE / f"{name}.json").read_text(encoding="utf-8")), **measured})


def _write(record: dict[str, Any]) -> None:
    text = json.dumps(_rounded(record), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    replace_file(PACKAGE / f"{record['name']}.json", text.encode())


def put_table(records: list[dict[str, Any]]) -> None:
    """Write the tables of `records` into the README."""
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    replace_file(README, (before + BEGIN + tables(records) + END + rest.split(END)[1]).encode())


def tables(records: list[dict[str, Any]]) -> str:
    """A table for each task."""
    tasks = dict.fromkeys(item["task"] for item in records)
    return "".join(f"{line}\n" for task in tasks for line in _task(task, records))


def read_all() -> list[dict[str, Any]]:
    """The records in the package, tasks together and by name."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.glob("*.json"))]
    return sorted(records, key=lambda record: (record["task"], record["name"]))


def _task(task: str, records: list[dict[str, Any]]) -> list[str]:
    """One task's heading and table: its networks, then what others reach."""
    rows = [record for record in records if record["task"] == task]
    bits = rows[0]["metric"] == BITS
    lines = [f"### {task[0].upper()}{task[1:]}", "", f"{rows[0]['data']}; {rows[0]['metric']} on held-out data.", ""]
    lines += ["| | weights | five seeds | float32 | int8 | int4 | µs a tick | firing | SynOps of dense |"]
    lines += ["|---|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for record in rows:
        step, rates = record["step"], list(record["step"]["firing_rates"].values())
        results = " | ".join(_result(record["precisions"][name]["result"], bits) for name in PRECISIONS)
        seeds = f"{_result(record['seeds']['mean'], bits)} ± {_result(record['seeds']['spread'], bits)}"
        firing = "–".join(dict.fromkeys(f"{rate:.0%}" for rate in (min(rates), max(rates)))) if rates else "–"
        share = f"{step['synops'] / step['macs']:.0%} of {step['macs']:,.0f}"
        lines += [
            f"| **`{record['name']}`** {record['title']} | {step['weights']:,} | {seeds} | {results} | "
            f"{step['microseconds']:.3g} | {firing} | {share} |"
        ]
    others = {key: value for record in rows for key, value in record["baselines"].items()}
    for name, value in sorted(others.items(), key=lambda item: item[1], reverse=not bits):
        lines += [f"| {name} | | {_result(value, bits)} | | | | | | |"]
    return [*lines, ""]


def _result(value: float, bits: bool) -> str:
    return f"{value:.3f}" if bits else f"{value:.1%}"


def _rounded(value: Any) -> Any:
    """Measurements with as many digits as they are worth."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
