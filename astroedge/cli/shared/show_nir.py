"""A NIR file for people."""

from __future__ import annotations

from typing import Any

from astroedge.cli.shared.display import number, print_line, print_table, shape


def show_nir(record: dict[str, Any]) -> None:
    """Nodes with their parameters' shapes and ranges, edges, what is left open, and what has no step."""
    print_line(f"NIR graph, written by nir {record['nir_version']}")
    nodes = [(item["name"], item["kind"], *row) for item in record["nodes"] for row in _rows(item["parameters"])]
    print_table(("node", "kind", "parameter", "shape", "range"), nodes, "Nodes")
    print_table(("from", "to"), record["edges"], "Edges")
    choices = [
        (f"--nir {item['name']}={' or '.join(item['values'])}", item["why"], ", ".join(item["nodes"]))
        for item in record["choices"]
    ]
    print_table(("choose", "because", "for"), choices, "Left open by the file, to be chosen when it is exported")
    for name in record["unsupported"]:
        print_line(f"Unsupported: {name!r} is of a kind that has no step, so this file can't be exported.")
    for note in record["notes"]:
        print_line(f"Note: {note}")


def _rows(parameters: dict[str, Any]) -> list[tuple[str, str, str]]:
    """A row for each parameter; one empty row for a node without any."""
    rows = []
    for name, value in parameters.items():
        if isinstance(value, str):
            rows.append((name, "text", value))
            continue
        rows.append((name, shape(value["shape"]), _range(value["range"])))
    return rows or [("", "", "")]


def _range(limits: list[float] | None) -> str:
    """The least and the largest of a parameter's numbers; one where all are equal."""
    if limits is None:
        return "not finite"
    low, high = map(number, limits)
    return low if low == high else f"{low} to {high}"
