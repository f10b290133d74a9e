"""A step as a page: its picture, its states and a table of its nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astroedge.bundle.container import Bundle
from astroedge.step.spec import StepSpec
from astroedge.units import size
from astroedge.workflows.pages.elements import Table
from astroedge.workflows.pages.page import render_page
from astroedge.workflows.pages.picture import KINDS, Picture, picture_graph, picture_kernels, shape_text

if TYPE_CHECKING:
    from astroedge.step.graph import StepGraph


def step_page(step: StepGraph | Bundle, graph: StepGraph | None = None) -> bytes:
    """The page of a step graph, or of a bundle with the graph that it was compiled from.

    A bundle holds no graph: alone it is drawn as the kernels of a tick in their order. Raises MissingDependencyError
    without the packages of `astroedge[report]`.
    """
    if not isinstance(step, Bundle):
        return draw_page(step.name, "step graph", step.spec, picture_graph(step, None))
    manifest = step.manifest
    what = f"bundle for {manifest.target.name}"
    if graph is None:
        return draw_page(manifest.model, what, manifest.step, picture_kernels(manifest), alone=True)
    return draw_page(manifest.model, what, manifest.step, picture_graph(graph, manifest))


def draw_page(model: str, title: str, spec: StepSpec, picture: Picture, *, alone: bool = False) -> bytes:
    """The page of a picture; `alone` says that it shows the kernels of a bundle, `what` what it is a picture of."""
    lines = tuple(
        (node.name, KINDS[node.kind], node.module or "–", "; ".join(node.lines) or "–",
         "; ".join(f"{name} {text}" for name, text in node.facts) or "–")
        for node in picture.nodes
    )  # fmt: skip
    states = tuple((item.name, shape_text(item.shape), item.dtype, size(item.nbytes)) for item in spec.states)
    return render_page(
        "view.html",
        scripts=("dagre.min.js", "page.js", "view.js"),
        data={"nodes": [node.to_json() for node in picture.nodes], "edges": picture.edges},
        title=model,
        what=title,
        counts=_counts(spec, picture),
        is_alone=alone,
        kinds=KINDS,
        nodes=Table("Nodes of the step", ("Node", "kind", "module", "size, kernel, sparsity", "facts"), lines),
        states=Table("States carried over from tick to tick", ("State", "shape", "dtype", "size"), states),
    )


def _counts(spec: StepSpec, picture: Picture) -> str:
    products = sum(node.kind == "product" for node in picture.nodes)
    parts = ((len(spec.inputs), "input"), (len(spec.outputs), "output"), (len(spec.states), "state"),
             (len(spec.spikes), "spike tensor"), (products, "product"), (len(picture.nodes), "node"))  # fmt: skip
    return ", ".join(f"{count:,} {word}{'s' * (count != 1)}" for count, word in parts if count) + "."
