"""Export a model that a user names on the command line, with example data from a file."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astroedge.errors import ExportError, InputError
from astroedge.parity import USUAL, Allowance
from astroedge.workflows.export_onnx import ONNX_SUFFIX, OnnxOptions, export_onnx_file, read_arrays
from astroedge.workflows.inputs.model_source import ModelSource, check_source, load_model
from astroedge.workflows.inputs.nir_source import NIR_SUFFIX, load_nir, refuse_nir_options

if TYPE_CHECKING:
    from astroedge.step.graph import StepGraph


def export_model(
    source: str,
    *,
    example: str | os.PathLike[str] | None = None,
    batch: int | None = None,
    name: str | None = None,
    firing_rates: Mapping[str, float] | None = None,
    onnx: OnnxOptions | None = None,
    dt: float | None = None,
    nir: Mapping[str, str] | None = None,
    checks: Allowance = USUAL,
    assets: Mapping[str, bytes] | None = None,
    progress: Callable[[str], None] = lambda stage: None,
) -> StepGraph:
    """Export the model that `source` names (see `astroedge.workflows.inputs.model_source`), compared with the original.

    `example` is a `.npz` or `.npy` file of realistic inputs `(T, …)`, named as the arguments of the model's `forward`:
    the first tick gives the shapes, all of them the firing rates. Or it is shapes, `1,700` or `x=1,700;y=1,3`, for
    which normal numbers are drawn. `batch` repeats inputs of batch 1 that often. `onnx` is what an `.onnx` source needs
    beside. For a `.nir` file, `dt` is the length of a tick in the unit of its time constants and `nir` chooses what the
    file leaves open. `name` is the graph's name, by default the source's; `firing_rates` are those of inputs where they
    are known better than from the example. `checks` says how the comparison is made and what it may find; `assets` are
    files that the graph carries, contents by name, beside those that come with the model or in their place;
    `progress` is told what is being done.

    Raises ExportError and its kinds, InputError for an example file that does not fit, OSError when it cannot be read.
    """
    options = onnx or OnnxOptions()
    if not source.endswith(NIR_SUFFIX):
        refuse_nir_options(source, dt, nir)
    if source.endswith(ONNX_SUFFIX):
        return export_onnx_file(
            source,
            options,
            example=example,
            batch=batch,
            name=name,
            firing_rates=firing_rates,
            checks=checks,
            assets=assets,
        )
    options.refuse_any(source)
    if not source.endswith(NIR_SUFFIX):
        check_source(source)
    progress("importing PyTorch")
    from astroedge.exporters import export

    progress(f"loading {source}")

    found = load_nir(source, dt, nir) if source.endswith(NIR_SUFFIX) else load_model(source)
    if example is not None:
        shapes = example_shapes(os.fspath(example))
        found = _with_shapes(found, shapes) if shapes else _with_examples(found, Path(example))
    if found.inputs is None:
        raise ExportError(
            f"{source} gives a model without example inputs, so their shapes are not known; return (module, inputs) "
            "from the factory or give --example."
        )
    if batch is not None:
        found = _with_batch(found, batch)
    return export(
        found.model,
        found.inputs,
        found.states,
        examples=found.examples,
        output_names=found.output_names,
        name=name or _default_name(source),
        firing_rates=firing_rates,
        allow_flips=checks.flips,
        tolerance=checks.tolerance,
        check_ticks=checks.ticks,
        assets={**found.assets, **(assets or {})},
        progress=progress,
    )


def default_output(source: str, name: str | None = None) -> Path:
    """Where a graph goes when nobody says: `NAME.onnx` in the working directory.

    Raises InputError where the source itself is that file.
    """
    path = Path(f"{Path(name or _default_name(source)).name}{ONNX_SUFFIX}")
    if path.exists() and Path(source).exists() and os.path.samefile(path, source):
        raise InputError(f"{path} is the model itself; say with --output where the step graph goes.")
    return path


def _default_name(source: str) -> str:
    """`char_lm` of `path/char_lm.safetensors`, `make` of `file.py:make`."""
    place, _, factory = source.rpartition(":")
    return factory if place else Path(source).stem


def example_shapes(text: str) -> dict[str, tuple[int, ...]]:
    """The shapes that `1,700` or `x=1,700;y=1,3` says, by input name, "" for one without; nothing for a file's name."""
    shapes: dict[str, tuple[int, ...]] = {}
    for part in text.split(";"):
        name, _, sizes = part.strip().rpartition("=")
        if not all(size.strip().isdecimal() and int(size) for size in sizes.split(",")):
            return {}
        shapes[name] = tuple(int(size) for size in sizes.split(","))
    return shapes


def _with_shapes(found: ModelSource, shapes: Mapping[str, tuple[int, ...]]) -> ModelSource:
    """The same model with normal numbers of some shapes as its example inputs."""
    import torch

    generator = torch.Generator().manual_seed(0)
    arguments = _argument_names(found.model)
    wrong = next((name for name in shapes if name and name not in arguments), None)
    if wrong is not None:
        raise InputError(f"--example names {wrong!r}, which the model does not take; its arguments: {arguments}.")
    if "" in shapes and len(shapes) > 1:
        raise InputError("--example has several shapes, so each needs its input's name, such as x=1,700;y=1,3.")
    names = sorted(shapes, key=lambda name: arguments.index(name) if name else 0)
    return replace(found, inputs=tuple(torch.randn(shapes[name], generator=generator) for name in names), examples=None)


def _with_batch(found: ModelSource, batch: int) -> ModelSource:
    """The same model with inputs and explicit states of batch 1 repeated; hidden ones are the model's own business."""
    from astroedge.exporters.repeat_states import repeat_states
    from astroedge.exporters.shared.batch_size import check_batch
    from astroedge.exporters.step_call.state_tree import leaves, rebuild

    def repeated(tick: Any) -> Any:
        tensors = [tensor for _, tensor in leaves(tick)]
        wrong = next((tensor for tensor in tensors if tensor.ndim == 0 or tensor.shape[0] not in (1, batch)), None)
        if wrong is not None:
            raise ExportError(f"--batch {batch} needs inputs of batch 1, and one has shape {tuple(wrong.shape)}.")
        return rebuild(tick, [tensor.expand(batch, *tensor.shape[1:]).clone() for tensor in tensors])

    ticks = None if found.examples is None else list(found.examples)
    try:
        check_batch(batch, sum(tensor.nbytes for _, tensor in leaves([found.inputs, found.states, *(ticks or ())])))
        examples = None if ticks is None else [repeated(tick) for tick in ticks]
        inputs = repeated(found.inputs)
    except TypeError as error:
        raise ExportError(f"The factory's inputs hold something that is no tensor: {error}.") from error
    states = found.states
    if states is not None and any(tensor.shape[0] == 1 for _, tensor in leaves(found.inputs)):
        states = repeat_states(found.model, found.inputs, states, batch)
    return replace(found, inputs=inputs, states=states, examples=examples)


def _with_examples(found: ModelSource, path: Path) -> ModelSource:
    """The same model with the ticks of a file as its example inputs."""
    import torch

    arrays = _ordered(read_arrays(path), _argument_names(found.model), path)
    ticks = len(arrays[0]) if arrays[0].ndim else 0
    if ticks == 0 or any(array.ndim == 0 or len(array) != ticks for array in arrays):
        raise InputError(f"The arrays in {path} need one common leading axis of ticks, at least one.")
    examples = [tuple(torch.from_numpy(np.array(array[tick])) for array in arrays) for tick in range(ticks)]
    return replace(found, inputs=examples[0], examples=examples)


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
