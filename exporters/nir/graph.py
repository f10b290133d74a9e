"""In which order the nodes of a graph are computed, and which edges carry the value of the tick before.

In NIR a loop has no delay; a step in discrete time needs one. Here the edge that closes a loop is delayed by one tick,
0 in the first. Which edge that is follows from the graph where a loop is entered at one node only: the edges that lead
back to that node close it. They are delayed where they leave the last neuron, so that what lies between, a recurrent
weight matrix and its bias, works on the spikes of the tick before, as in the frameworks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from astroedge.errors import ExportError
from astroedge.exporters.nir.file import Edge


def delayed_edges(names: Sequence[str], edges: Sequence[Edge], is_stateful: Callable[[str], bool]) -> list[Edge]:
    """The edges that carry the value of the tick before, in the order of `edges`.

    Raises ExportError for a loop that is entered at several nodes, holds no stateful node, or whose stateless part is
    read outside the loop too: in all of them it is open where the delay belongs.
    """
    delayed: set[Edge] = set()
    for loop in _loops(names, edges):
        entries = sorted({target for source, target in edges if target in loop and source not in loop})
        if len(entries) != 1:
            where = " and ".join(map(repr, entries)) or "no node"
            raise ExportError(
                f"The loop {_path(loop, names)} of the NIR graph is entered at {where}, so it is open which of its "
                "edges carries the value of the tick before; put a Delay of one tick where it belongs."
            )
        inner = [edge for edge in edges if edge[0] in loop and edge[1] in loop]
        closing = [edge for edge in inner if edge[1] == entries[0]]
        for edge in closing:
            delayed |= _back_to_neuron(edge, inner, edges, is_stateful)
        forward = [edge for edge in inner if edge not in closing]
        delayed |= set(delayed_edges([name for name in names if name in loop], forward, is_stateful))
    return [edge for edge in edges if edge in delayed]


def order(names: Sequence[str], edges: Sequence[Edge]) -> list[str]:
    """The names so that every edge leads forward; where that leaves a choice, as they are given."""
    left, done, ordered = list(names), set[str](), list[str]()
    while left:
        ready = [name for name in left if all(source in done for source, target in edges if target == name)]
        if not ready:
            raise ExportError(f"The NIR graph has a loop through {left[0]!r}; put a Delay of one tick into it.")
        ordered += ready
        done.update(ready)
        left = [name for name in left if name not in done]
    return ordered


def _back_to_neuron(
    closing: Edge, inner: Sequence[Edge], edges: Sequence[Edge], is_stateful: Callable[[str], bool]
) -> set[Edge]:
    """The edges out of stateful nodes through which a value reaches the edge that closes a loop."""
    source, header = closing
    if is_stateful(source):
        return {closing}
    between, found, left = {source}, set[Edge](), [source]
    while left:
        node = left.pop()
        if node == header:
            raise ExportError(
                f"The NIR graph has a loop through {header!r} without a neuron, so nothing holds its value from one "
                "tick to the next; put a Delay of one tick into it."
            )
        for edge in inner:
            if edge[1] != node:
                continue
            if is_stateful(edge[0]):
                found.add(edge)
            elif edge[0] not in between:
                between.add(edge[0])
                left.append(edge[0])
    for edge in edges:
        if edge[0] in between and edge[1] not in between and edge != closing:
            raise ExportError(
                f"{edge[0]!r} of the NIR graph lies on the way back of a loop and {edge[1]!r} reads it too, so it is "
                "open whether that one gets it a tick later; put a Delay of one tick into the loop."
            )
    return found


def _loops(names: Sequence[str], edges: Sequence[Edge]) -> list[frozenset[str]]:
    """The largest sets of nodes that all reach each other, without single nodes that do not reach themselves."""
    following: dict[str, list[str]] = {name: [] for name in names}
    for source, target in edges:
        following[source].append(target)
    reached = {name: _reach(name, following) for name in names}
    found = {frozenset(other for other in reached[name] if name in reached[other]) for name in names}
    position = {name: index for index, name in enumerate(names)}
    return sorted((loop for loop in found if loop), key=lambda loop: min(position[name] for name in loop))


def _reach(start: str, following: dict[str, list[str]]) -> set[str]:
    """All nodes behind a node; the node itself where a loop leads back to it."""
    reached, left = set[str](), [start]
    while left:
        for name in following[left.pop()]:
            if name not in reached:
                reached.add(name)
                left.append(name)
    return reached


def _path(loop: Collection[str], names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names if name in loop)
