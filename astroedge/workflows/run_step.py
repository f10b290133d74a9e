"""Running a step over data in files or line by line from a stream: the leading axis, or the lines, are time."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator

from astroedge.session import Session
from astroedge.workflows.inputs.array_files import (
    column_names,
    csv_line,
    csv_values,
    encode_arrays,
    read_arrays,
    read_csv,
    stack,
)

STANDARD_INPUT = "-"


def run_file(session: Session, source: str | os.PathLike[str], suffix: str) -> bytes:
    """Run `session` over all ticks of a file in one native call and return the outputs as a file of this suffix.

    `source` is the path of a `.npy`, `.npz` or `.csv` file, or "-" for CSV lines from standard input.

    Raises InputError for data that the step does not take, OSError when the file cannot be read.
    """
    specs = session.spec.inputs
    if source == STANDARD_INPUT:
        inputs = stack(read_csv(sys.stdin, specs, "standard input"), specs, "standard input")
    else:
        inputs = read_arrays(source, specs)
    return encode_arrays(suffix, session.run(**inputs), session.spec.outputs)


def run_lines(session: Session, lines: Iterable[str], source: str) -> Iterator[str]:
    """CSV lines in, CSV lines out, each answered before the next is read; the first line out names the columns.

    Raises InputError for a line that the step does not take.
    """
    yield csv_line(column_names(session.spec.outputs))
    for tick in read_csv(lines, session.spec.inputs, source):
        yield csv_line(csv_values(session.step(**tick), session.spec.outputs))
