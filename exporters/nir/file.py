"""Read a NIR file: an HDF5 file of nodes and edges, nested graphs laid flat.

The file is read as it is, not through the nir package, whose reader fills in a missing v_reset and whose shape
inference takes every kernel for a square one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from astroedge.errors import ExportError, InputError
from astroedge.exporters.nir.hdf5_tree import check_that_reading_ends, read_tree
from astroedge.host_package import require

Edge = tuple[str, str]
GRAPH = "NIRGraph"
# The parameters each kind of node must have; all others are optional or for information.
FIELDS: dict[str, tuple[str, ...]] = {
    "Input": ("shape",),
    "Output": (),
    "Identity": (),
    "LIF": ("tau", "r", "v_leak", "v_threshold"),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "w_in"),
    "IF": ("r", "v_threshold"),
    "LI": ("tau", "r", "v_leak"),
    "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
    "I": ("r",),
    "Affine": ("weight", "bias"),
    "Linear": ("weight",),
    "Conv1d": ("weight", "bias", "stride", "padding", "dilation", "groups"),
    "Conv2d": ("weight", "bias", "stride", "padding", "dilation", "groups"),
    "SumPool2d": ("kernel_size", "stride", "padding"),
    "AvgPool2d": ("kernel_size", "stride", "padding"),
    "Flatten": ("start_dim", "end_dim"),
    "Scale": ("scale",),
    "Delay": ("delay",),
    "Threshold": ("threshold",),
}


@dataclass(frozen=True)
class Node:
    """A node: its name (`outer.inner` in a nested graph), its kind as NIR calls it, and its parameters."""

    name: str
    kind: str
    fields: Mapping[str, Any]

    def numbers(self, field: str, default: float | None = None) -> np.ndarray:
        """A parameter as float64. Raises ExportError when it is missing, no number or not finite."""
        value = self.fields.get(field, default)
        if value is None:
            raise ExportError(f"{self.label} has no {field}; write the file again with a current nir package.")
        if np.iscomplexobj(value):
            raise ExportError(f"{field} of {self.label} holds complex numbers, which no step carries; write real ones.")
        try:
            numbers = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ExportError(f"{field} of {self.label} holds no numbers; write the file again.") from error
        if not np.isfinite(numbers).all():
            raise ExportError(
                f"{field} of {self.label} holds NaN or infinity, as a decay of exactly 1 does when it is written as a "
                "time constant; use an integrator (I, IF) instead."
            )
        return numbers

    @property
    def label(self) -> str:
        """The node's name and kind, for messages."""
        return f"NIR node {self.name!r} ({self.kind})"


@dataclass(frozen=True)
class NirGraph:
    """All nodes of a file in its order, and all edges between them."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    version: str

    @property
    def unsupported(self) -> list[Node]:
        """The nodes of a kind that has no step here."""
        return [node for node in self.nodes if node.kind not in FIELDS]


def read_nir_file(path: str | os.PathLike[str]) -> NirGraph:
    """The graph in a NIR file, flat.

    Raises InputError for a file that is missing, damaged or no NIR file, and ExportError for edges that lead nowhere.
    """
    h5py = require("h5py", "reading NIR files")
    if not Path(path).is_file():
        raise InputError(f"There is no file {path}; check the path of the NIR file.")
    try:
        check_that_reading_ends(path)
        with h5py.File(path, "r") as file:
            version = str(read_tree(file, "version")) if "version" in file else "unknown"
            tree = read_tree(file, "node")
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = (str(error).strip().splitlines() or ["no message"])[0]
        raise InputError(
            f"{path} is no NIR file or a damaged one ({reason}); write it again with nir.write(path, graph)."
        ) from error
    if not _is_graph(tree):
        raise InputError(f"{path} holds no NIR graph; write it with nir.write(path, graph).")
    nodes, edges = _flatten(tree, "")
    return NirGraph(tuple(nodes), tuple(edges), version)


def _is_graph(record: Any) -> bool:
    """Whether a group is a graph, which holds nodes."""
    kind = record.get("type") if isinstance(record, dict) else None
    return isinstance(kind, str) and kind == GRAPH and isinstance(record.get("nodes"), dict)


def _flatten(tree: Mapping[str, Any], prefix: str) -> tuple[list[Node], list[Edge]]:
    """The nodes and edges of a graph; those of graphs inside it under `name.`, their ends as identities."""
    nodes: list[Node] = []
    edges: list[Edge] = []
    entry: dict[str, str] = {}
    leave: dict[str, str] = {}
    for name, record in tree["nodes"].items():
        full = prefix + name
        if not isinstance(record, dict):
            raise InputError(f"NIR node {full!r} is no group of parameters; write the file again with nir.write.")
        if _is_graph(record):
            inner, inner_edges = _flatten(record, f"{full}.")
            entry[name], leave[name] = _end(inner, "Input", full), _end(inner, "Output", full)
            nodes += [_inside(node, entry[name], leave[name]) for node in inner]
            edges += inner_edges
        else:
            nodes.append(
                Node(full, str(record.get("type")), {key: value for key, value in record.items() if key != "type"})
            )
            entry[name] = leave[name] = full
    for source, target in _pairs(tree.get("edges", ()), prefix):
        for end in (source, target):
            if end not in entry:
                raise ExportError(f"An edge of the NIR file names {prefix + end!r}, which is no node; write it again.")
        edge = (leave[source], entry[target])
        if edge in edges:
            raise ExportError(f"The edge from {edge[0]!r} to {edge[1]!r} is in the NIR file twice; write it again.")
        edges.append(edge)
    return nodes, edges


def _pairs(edges: Any, prefix: str) -> list[Edge]:
    """The names of the two ends of each edge."""
    ends = np.asarray(edges)
    names = [name.decode("utf-8", "replace") if isinstance(name, bytes) else name for name in ends.ravel().tolist()]
    if ends.size and (ends.ndim != 2 or ends.shape[1] != 2 or not all(isinstance(name, str) for name in names)):
        where = f"of {prefix.removesuffix('.')!r} " if prefix else ""
        raise InputError(f"The edges {where}in the NIR file are no pairs of names; write it again with nir.write.")
    return list(zip(names[::2], names[1::2], strict=True))


def _inside(node: Node, first: str, last: str) -> Node:
    return Node(node.name, "Identity", node.fields) if node.name in (first, last) else node


def _end(nodes: list[Node], kind: str, graph: str) -> str:
    """The one node of a kind in a nested graph; edges to the graph mean this one."""
    found = [node.name for node in nodes if node.kind == kind]
    if len(found) != 1:
        raise ExportError(
            f"The nested NIR graph {graph!r} has {len(found)} {kind} nodes; an edge to or from it needs exactly one."
        )
    return found[0]
