"""A NIR file as a model to export, and what is in one, for `astroedge inspect --nir`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from astroedge.errors import ExportError
from astroedge.host_package import require
from astroedge.workflows.inputs.model_source import ModelSource

NIR_SUFFIX = ".nir"


def load_nir(path: str, dt: float | None, choices: Mapping[str, str] | None) -> ModelSource:
    """The network in a NIR file as a module with its state as arguments, one stream.

    `dt` is the length of a tick in the unit of the file's time constants, `choices` what NIR leaves open, by name.
    Raises ExportError when dt is missing, and what `astroedge.exporters.nir.nir_step.read_nir` raises.
    """
    require("torch", "exporting a model")
    from astroedge.exporters.nir.nir_step import read_nir

    if dt is None:
        raise ExportError(
            f"{path} describes neurons in continuous time; give the length of a tick with --dt, in the unit of the "
            "file's time constants: 1e-4 for files of snnTorch and SpikingJelly, 1e-3 for those of Norse."
        )
    step = read_nir(path, dt, choices)
    return ModelSource(step, step.example_inputs(), step.initial_state())


def refuse_nir_options(source: str, dt: float | None, choices: Mapping[str, str] | None) -> None:
    """Raise ExportError when options of NIR files are given for a model that is none."""
    if dt is not None or choices:
        raise ExportError(f"--dt and --nir are for NIR files, and {source} is none; leave them out.")


def describe_nir(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What is in a NIR file as plain data: nodes with shapes and ranges, edges, open choices, unsupported nodes, notes.

    Raises InputError for a file that is missing or damaged.
    """
    require("torch", "reading NIR files")
    from astroedge.exporters.nir.choices import ALLOWED, WHY, NirChoices, doubts, open_choices
    from astroedge.exporters.nir.file import read_nir_file

    graph = read_nir_file(path)
    return {
        "nir_version": graph.version,
        "nodes": [{"name": node.name, "kind": node.kind, "parameters": _describe(node.fields)} for node in graph.nodes],
        "edges": [list(edge) for edge in graph.edges],
        "choices": [
            {"name": name, "values": list(ALLOWED[name]), "why": WHY[name], "nodes": users}
            for name, users in open_choices(graph.nodes).items()
        ],
        "unsupported": [node.name for node in graph.unsupported],
        "notes": doubts(graph.nodes, NirChoices()),
    }


def _describe(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Of every parameter its shape and range, or the text it is."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        numbers = np.asarray(value)
        if numbers.dtype.kind not in "biuf":
            if isinstance(value, str):
                found[name] = value
            continue
        finite = bool(numbers.size) and bool(np.isfinite(numbers).all())
        span = [float(numbers.min()), float(numbers.max())] if finite else None
        found[name] = {"shape": list(numbers.shape), "range": span}
    return found
