"""Export an ONNX graph that a user names on the command line, with its states in pairs of names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astroedge.errors import ExportError, GraphError, InputError
from astroedge.parity import USUAL, Allowance
from astroedge.replace_file import replacing
from astroedge.workflows.inputs.numpy_files import read_numpy

if TYPE_CHECKING:
    from astroedge.step.graph import StepGraph

ONNX_SUFFIX = ".onnx"


@dataclass(frozen=True)
class OnnxOptions:
    """What an ONNX graph does not say: pairs of state, inputs held constant, open sizes, first values of states.

    A constant or a first value is a number or the name of an `.npy` file.
    """

    states: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    initial: Mapping[str, str] = field(default_factory=dict)

    def refuse_any(self, source: str) -> None:
        """Raise ExportError if anything is given: other models say all this themselves."""
        options = {"states": "--state", "constants": "--input", "shapes": "--shape", "initial": "--initial"}
        given = next((options[item.name] for item in fields(self) if getattr(self, item.name)), None)
        if given is not None:
            raise ExportError(f"{given} is for .onnx models, and {source} is none; leave it out.")


def export_onnx_file(
    source: str,
    options: OnnxOptions,
    *,
    example: str | os.PathLike[str] | None,
    batch: int | None,
    name: str | None,
    firing_rates: Mapping[str, float] | None,
    checks: Allowance = USUAL,
    assets: Mapping[str, bytes] | None = None,
) -> StepGraph:
    """Export the ONNX graph in a file, compared with itself in ONNX Runtime; `example` is a file of inputs `(T, …)`."""
    from astroedge.exporters.export_onnx import export_onnx

    examples = None
    if example is not None:
        arrays = read_arrays(Path(example))
        ticks = min((len(array) if array.ndim else 0 for array in arrays.values()), default=0)
        if not ticks or any(len(array) != ticks for array in arrays.values()):
            raise InputError(f"The arrays in {example} need one common leading axis of ticks, at least one.")
        examples = [{item: np.array(array[tick]) for item, array in arrays.items()} for tick in range(ticks)]
    return export_onnx(
        source,
        options.states,
        constants={item: _value(text) for item, text in options.constants.items()},
        shapes=options.shapes,
        batch=batch,
        initial={item: _value(text) for item, text in options.initial.items()},
        examples=examples,
        firing_rates=firing_rates,
        name=name,
        allow_flips=checks.flips,
        tolerance=checks.tolerance,
        check_ticks=checks.ticks,
        assets=assets,
    )


def save_with_sequence(graph: StepGraph, output: Path) -> Path:
    """Save the step graph, and beside it the step over any number of ticks, whose path is returned.

    Both are written before the step graph takes its place, last of all.

    Raises GraphError when one cannot be written.
    """
    from astroedge.exporters.graph.sequence import sequence
    from astroedge.step.onnx_file import write_model

    path = output.with_suffix(f".sequence{ONNX_SUFFIX}")
    try:
        with replacing(output) as partial:
            graph.save(partial)
            write_model(sequence(graph), path)
    except OSError as error:
        raise GraphError(f"Cannot write {os.fspath(output)!r}: {error.strerror}; check the path.") from error
    return path


def _value(text: str) -> Any:
    """A number, or the array in an `.npy` file."""
    if text.endswith(".npy"):
        arrays = [*read_arrays(Path(text)).values()]
        if len(arrays) != 1:
            raise InputError(f"{text} holds {len(arrays)} arrays and must hold one; save it with numpy.save.")
        return arrays[0]
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{text!r} is neither a number nor an .npy file.") from None


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a NumPy file by name; `arr_0` where there is none."""
    stored = read_numpy(path)
    return stored if isinstance(stored, dict) else {"arr_0": stored}
