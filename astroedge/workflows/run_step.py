"""Running a step over data in files or line by line from a stream: the leading axis, or the lines, are time."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from astroedge.errors import InputError
from astroedge.readout import chosen_class
from astroedge.session import Array, Session
from astroedge.step.spec import StepSpec, TensorSpec
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
NAMED = 8  # classes that a summary names at most


def run_file(session: Session, source: str | os.PathLike[str], suffix: str, fit: Fit | None = None) -> bytes:
    """Run `session` over all ticks of a file in one native call and return the outputs as a file of this suffix.

    `source` is the path of a `.npy`, `.npz` or `.csv` file, or "-" for CSV lines from standard input; `fit` says how
    its arrays are made to fit.

    Raises InputError for data that the step does not take, OSError when the file cannot be read.
    """
    return encode_arrays(suffix, session.run(**read_rows(session.spec, source, fit)), session.spec.outputs)


@dataclass(frozen=True)
class Presenting:
    """How rows are presented: for how many ticks, and what an answer comes to (`astroedge.readout`).

    Where classes have names, `labels`, CSV has them in a last column, and `tell` is called with what all rows came to.
    """

    ticks: int
    readout: str
    labels: Sequence[str] = ()
    tell: Callable[[str], None] = lambda line: None


def present_file(
    session: Session,
    source: str | os.PathLike[str],
    suffix: str,
    how: Presenting,
    fit: Fit | None = None,
) -> bytes:
    """Present every row of a file, each from a reset, and return a row of readouts for each.

    `source`, `suffix` and `fit` are as in `run_file`. Where the first output is a row of scores, a last array `class`
    has the class that each presentation stands for, but for `.npy`, which holds one array.

    Raises InputError for data that the step does not take, OSError when the file cannot be read.
    """
    inputs = read_rows(session.spec, source, fit)
    rows = count_presentations(inputs, source, how.readout)
    answers = [
        _present(session, {name: array[row] for name, array in inputs.items()}, how.ticks, how.readout)
        for row in range(rows)
    ]
    results = {name: np.stack([answer[name] for answer in answers]) for name in answers[0]}
    return encode_presentations(session.spec, results, suffix, how)


def count_presentations(inputs: Mapping[str, Array], source: str | os.PathLike[str], readout: str) -> int:
    """How many presentations arrays hold; `source` names them in messages.

    Raises InputError for none, for another number in one than in the next, and for a readout that has no name.
    """
    if "readout" in inputs and readout != "sum":
        raise InputError("An input of the step is called 'readout', so that only sums can be read out; rename it.")
    rows = {len(array) if array.ndim else 0 for array in inputs.values()}
    if len(rows) != 1 or 0 in rows:
        raise InputError(f"{source} needs a common leading axis of presentations, of one or more.")
    return rows.pop()


def encode_presentations(spec: StepSpec, results: dict[str, Array], suffix: str, how: Presenting) -> bytes:
    """Readouts of presentations, a row each, as a file of this suffix, with the classes where there are scores."""
    specs = [TensorSpec(item.name, item.shape, str(results[item.name].dtype)) for item in spec.outputs]
    scores = specs[0]
    if max(scores.shape, default=1) != scores.size or scores.size < 2 or "class" in results:
        return encode_arrays(suffix, results, specs)
    chosen = [chosen_class(how.readout, answer, how.ticks) for answer in results[scores.name]]
    if how.labels:
        how.tell(summarise(chosen, how.labels))
    if suffix == ".npy":
        return encode_arrays(suffix, results, specs)
    results = {**results, "class": np.array(chosen, np.int64)[:, None]}
    content = encode_arrays(suffix, results, [*specs, TensorSpec("class", (1,), "int64")])
    if suffix != ".csv" or not how.labels or "label" in results:
        return content
    names = ["label", *("" if found < 0 else how.labels[found] for found in chosen)]
    lines = content.decode().splitlines()
    return "".join(f"{line},{csv_line([name])}" for line, name in zip(lines, names, strict=True)).encode()


def summarise(chosen: Sequence[int], labels: Sequence[str]) -> str:
    """The name of one row's class, or how many of several rows have each, the most first, as a sentence."""
    names = ["no class, for nothing fired" if found < 0 else labels[found] for found in chosen]
    if len(names) == 1:
        return f"It is {names[0]}."
    counts = Counter(names).most_common()
    more = f" and {len(counts) - NAMED} more classes" * (len(counts) > NAMED)
    return f"{len(names)} rows: {', '.join(f'{name} × {count}' for name, count in counts[:NAMED])}{more}."


def _present(session: Session, inputs: dict[str, Array], ticks: int, readout: str) -> dict[str, Array]:
    given: dict[str, Any] = {"readout": readout, **inputs}
    return session.present(ticks, **given)


def read_rows(spec: StepSpec, source: str | os.PathLike[str], fit: Fit | None = None) -> dict[str, Array]:
    """The rows of a file, or of CSV lines from standard input, by input; `fit` says how they are made to fit.

    Raises InputError for data that the step does not take, OSError when the file cannot be read.
    """
    specs = spec.inputs
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
