"""Export a model that a user names on the command line, with example data from a file."""

from __future__ import annotations

import inspect
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astroedge.errors import ExportError, InputError
from astroedge.workflows.model_source import ModelSource, load_model
from astroedge.workflows.nir_source import NIR_SUFFIX, load_nir, refuse_nir_options

if TYPE_CHECKING:
    from astroedge.step_graph import StepGraph


def export_model(
    source: str,
    *,
    example: str | os.PathLike[str] | None = None,
    name: str | None = None,
    firing_rates: Mapping[str, float] | None = None,
    dt: float | None = None,
    nir: Mapping[str, str] | None = None,
) -> StepGraph:
    """Export the model that `source` names (see `astroedge.workflows.model_source`), compared with PyTorch on the spot.

    `example` is a `.npz` or `.npy` file of realistic inputs `(T, …)`, named as the arguments of the model's `forward`:
    the first tick gives the shapes, all of them the firing rates. `name` is the graph's name, by default the source's;
    `firing_rates` are those of inputs where they are known better than from the example. For a `.nir` file, `dt` is
    the length of a tick in the unit of its time constants and `nir` chooses what the file leaves open.

    Raises ExportError and its kinds, InputError for an example file that does not fit, OSError when it cannot be read.
    """
    from astroedge.exporters import export

    if source.endswith(NIR_SUFFIX):
        found = load_nir(source, dt, nir)
    else:
        refuse_nir_options(source, dt, nir)
        found = load_model(source)
    if example is not None:
        found = _with_examples(found, Path(example))
    if found.inputs is None:
        raise ExportError(
            f"{source} gives a model without example inputs, so their shapes are not known; return (module, inputs) "
            "from the factory or give --example."
        )
    return export(
        found.model,
        found.inputs,
        found.states,
        examples=found.examples,
        output_names=found.output_names,
        name=name or _default_name(source),
        firing_rates=firing_rates,
    )


def _default_name(source: str) -> str:
    """`char_lm` of `path/char_lm.safetensors`, `make` of `file.py:make`."""
    place, _, factory = source.rpartition(":")
    return factory if place else Path(source).stem


def _with_examples(found: ModelSource, path: Path) -> ModelSource:
    """The same model with the ticks of a file as its example inputs."""
    import torch

    arrays = _ordered(_read(path), _argument_names(found.model), path)
    ticks = len(arrays[0]) if arrays[0].ndim else 0
    if ticks == 0 or any(array.ndim == 0 or len(array) != ticks for array in arrays):
        raise InputError(f"The arrays in {path} need one common leading axis of ticks, at least one.")
    examples = [tuple(torch.from_numpy(np.array(array[tick])) for array in arrays) for tick in range(ticks)]
    return replace(found, inputs=examples[0], examples=examples)


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a NumPy file by name; `arr_0` where there is none."""
    try:
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            return {"arr_0": stored}
        with stored:
            return {name: stored[name] for name in stored.files}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a NumPy file of plain arrays ({error}); save it with numpy.savez.") from error


def _ordered(arrays: dict[str, np.ndarray], arguments: Sequence[str], path: Path) -> list[np.ndarray]:
    """The arrays in the order of the model's arguments; files without names are taken in their own order."""
    if not arrays:
        raise InputError(f"{path} holds no array; save the example inputs with numpy.savez.")
    if all(name == f"arr_{index}" for index, name in enumerate(arrays)):
        return list(arrays.values())
    wrong = next((name for name in arrays if name not in arguments), None)
    if wrong is not None:
        known = ", ".join(arguments)
        raise InputError(f"{path} holds {wrong!r}, which the model does not take; its arguments: {known}.")
    return [arrays[name] for name in arguments if name in arrays]


def _argument_names(model: Any) -> list[str]:
    """The names a module gives its inputs, else those of the arguments of its `forward` or of a function."""
    own = getattr(model, "input_names", None)
    if isinstance(own, list):
        return own
    target = getattr(model, "forward", model)
    return [item.name for item in inspect.signature(target).parameters.values() if item.kind is not item.VAR_KEYWORD]
