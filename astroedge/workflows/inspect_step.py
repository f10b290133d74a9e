"""Look into a step graph or a bundle without running it."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astroedge.bundle.container import Bundle, describe_asset
from astroedge.bundle.one_file import is_archive

if TYPE_CHECKING:
    from astroedge.step.graph import StepGraph


INSPECTION_FORMAT = "astroedge-inspect"
INSPECTION_VERSION = 1


def inspection(kind: str) -> dict[str, Any]:
    """How the JSON of every inspection begins; `schemas/inspect.schema.json` describes what follows."""
    return {"format": INSPECTION_FORMAT, "version": INSPECTION_VERSION, "kind": kind}


def open_step(path: str | os.PathLike[str]) -> StepGraph | Bundle:
    """The bundle in a folder or a file, its files compared with their digests, or the step graph in a file.

    Raises BundleError or GraphError for what is damaged or neither. A graph needs the onnx package, a bundle NumPy.
    """
    if Path(path).is_dir() or is_archive(Path(path)):
        bundle = Bundle.load(path)
        bundle.check()
        return bundle
    from astroedge.step.graph import StepGraph

    return StepGraph.load(path)


def describe_graph(graph: StepGraph) -> dict[str, Any]:
    """A graph as plain data: name, digest, step description, operators with their numbers, bytes of weights, assets."""
    from astroedge.step.tensor_data import is_reference, stored_size

    return {
        **inspection("graph"),
        "name": graph.name,
        "sha256": graph.digest,
        "step": graph.spec.to_json(),
        "operators": dict(sorted(Counter(node.op_type for node in graph.model.graph.node).items())),
        "weights_bytes": sum(
            tensor.ByteSize() + (stored_size(tensor) if is_reference(tensor) else 0)
            for tensor in graph.model.graph.initializer
        ),
        "assets": [asdict(describe_asset(name, content)) for name, content in graph.assets.items()],
    }


def describe_bundle(bundle: Bundle) -> dict[str, Any]:
    """A bundle as plain data: its manifest."""
    return {**inspection("bundle"), "manifest": bundle.manifest.to_json()}
