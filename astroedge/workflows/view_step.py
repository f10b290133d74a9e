"""A step graph or a bundle from its files as a page."""

from __future__ import annotations

import os

from astroedge.bundle.container import Bundle
from astroedge.errors import InputError
from astroedge.workflows.inspect_step import open_step
from astroedge.workflows.pages.step_view import step_page


def view_step(path: str | os.PathLike[str], graph_path: str | os.PathLike[str] | None = None) -> bytes:
    """The page of the step in a file or folder; `graph_path` is the graph that a bundle was compiled from.

    Raises InputError for a graph that is not the bundle's, MissingDependencyError without the packages of
    `astroedge[report]`, and what opening a graph or a bundle raises.
    """
    step = open_step(path)
    if graph_path is None:
        return step_page(step)
    if not isinstance(step, Bundle):
        raise InputError(f"{os.fspath(path)} is a step graph itself; --graph goes with a bundle.")
    from astroedge.step.graph import StepGraph

    graph = StepGraph.load(graph_path)
    if graph.digest not in (step.manifest.graph_sha256, step.manifest.reference_sha256):
        raise InputError(
            f"{os.fspath(graph_path)} is not the graph that {os.fspath(path)} was compiled from; give that one."
        )
    return step_page(step, graph)
