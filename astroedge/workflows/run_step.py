"""Running a step over data in files or line by line from a stream: the leading axis, or the lines, are time."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from astroedge.errors import InputError
from astroedge.readout import chosen_class
from astroedge.session import Array, Session
from astroedge.step.spec import TensorSpec
from astroedge.workflows.inputs.array_files import (
    column_names,
    csv_line,
    csv_values,
    encode_arrays,
    read_arrays,
    read_csv,
    stack,
)
from astroedge.workflows.inputs.fit_arrays import Fit

STANDARD_INPUT = "-"


def run_file(session: Session, source: str | os.PathLike[str], suffix: str, fit: Fit | None = None) -> bytes:
    """Run `session` over all ticks of a file in one native call and return the outputs as a file of this suffix.

    `source` is the path of a `.npy`, `.npz` or `.csv` file, or "-" for CSV lines from standard input; `fit` says how
    its arrays are made to fit.

    Raises InputError for data that the step does not take, OSError when the file cannot be read.
    """
    return encode_arrays(suffix, session.run(**_read(session, source, fit)), session.spec.outputs)


def present_file(
    session: Session,
    source: str | os.PathLike[str],
    suffix: str,
    ticks: int,
    readout: str,
    fit: Fit | None = None,
) -> bytes:
    """Present every row of a file for `ticks` ticks, each from a reset, and return a row of readouts for each.

    `source`, `suffix` and `fit` are as in `run_file`; `astroedge.readout` has the readouts. Where the first output is a
    row of scores, a last array `class` has the class that each presentation stands for, but for `.npy`, which holds one
    array.

    Raises InputError for data that the step does not take, OSError when the file cannot be read.
    """
    inputs = _read(session, source, fit)
    if "readout" in inputs and readout != "sum":
        raise InputError("An input of the step is called 'readout', so that only sums can be read out; rename it.")
    rows = {len(array) if array.ndim else 0 for array in inputs.values()}
    if len(rows) != 1 or 0 in rows:
        raise InputError(f"{source} needs a common leading axis of presentations, of one or more.")
    answers = [
        _present(session, {name: array[row] for name, array in inputs.items()}, ticks, readout)
        for row in range(rows.pop())
    ]
    specs = [TensorSpec(item.name, item.shape, str(answers[0][item.name].dtype)) for item in session.spec.outputs]
    results = {item.name: np.stack([answer[item.name] for answer in answers]) for item in specs}
    scores = specs[0]
    if suffix != ".npy" and max(scores.shape, default=1) == scores.size > 1 and "class" not in results:
        chosen = [chosen_class(readout, answer[scores.name], ticks) for answer in answers]
        results["class"] = np.array(chosen, np.int64)[:, None]
        specs.append(TensorSpec("class", (1,), "int64"))
    return encode_arrays(suffix, results, specs)


def _present(session: Session, inputs: dict[str, Array], ticks: int, readout: str) -> dict[str, Array]:
    given: dict[str, Any] = {"readout": readout, **inputs}
    return session.present(ticks, **given)


def _read(session: Session, source: str | os.PathLike[str], fit: Fit | None) -> dict[str, Array]:
    """The rows of a file, or of CSV lines from standard input, by input."""
    specs = session.spec.inputs
    if source == STANDARD_INPUT:
        return stack(read_csv(sys.stdin, specs, "standard input"), specs, "standard input")
    return read_arrays(source, specs, fit)


def run_lines(session: Session, lines: Iterable[str], source: str) -> Iterator[str]:
    """CSV lines in, CSV lines out, each answered before the next is read; the first line out names the columns.

    Raises InputError for a line that the step does not take.
    """
    yield csv_line(column_names(session.spec.outputs))
    for tick in read_csv(lines, session.spec.inputs, source):
        yield csv_line(csv_values(session.step(**tick), session.spec.outputs))
