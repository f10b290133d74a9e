"""Arrays `(T, …)` for each input or output in files: `.npy` (one array), `.npz` (by name), `.csv` (one line a tick).

The columns of a CSV file are the elements of each array in order. Its first line names them: `x` for an array of one
element, else `x[0]`, `x[1]`, … with the flat (row-major) index. Without that line every element is expected, in the
order of the arrays.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from astroedge.errors import InputError
from astroedge.step.spec import TensorSpec
from astroedge.workflows.inputs.event_files import is_event_file, read_events, stack_frames
from astroedge.workflows.inputs.fit_arrays import TIME, Fit, fit_arrays
from astroedge.workflows.inputs.numpy_files import Array, read_numpy

SUFFIXES = (".npy", ".npz", ".csv")


def read_arrays(
    path: str | os.PathLike[str], specs: Sequence[TensorSpec], fit: Fit | None = None, leading: Sequence[str] = TIME
) -> dict[str, Array]:
    """The arrays `(T, *shape)` of a file, by the names in `specs`, made to fit as `fit` says.

    `leading` names the axes before an input's shape.

    Raises InputError for another suffix, for a file that is not what its suffix says, for arrays or columns that are
    missing or that no spec names, and for a CSV line that does not fit; OSError when the file cannot be read.
    """
    source = Path(path)
    if is_event_file(source):
        return _read_recording(source, specs, fit or Fit())
    suffix = check_suffix(source)
    if suffix == ".csv":
        with source.open(encoding="utf-8", errors="replace", newline="") as lines:
            return stack(read_csv(lines, specs, os.fspath(path)), specs, os.fspath(path))
    arrays = _load(source, specs)
    names = [spec.name for spec in specs]
    if set(arrays) != set(names):
        raise InputError(f"{source} holds {', '.join(arrays) or 'nothing'} and must hold {', '.join(names)}.")
    return fit_arrays(arrays, specs, os.fspath(source), fit or Fit(), leading)


def _read_recording(source: Path, specs: Sequence[TensorSpec], fit: Fit) -> dict[str, Array]:
    """The frames of a recording of events."""
    if fit.rate is None:
        raise InputError(f"{source} is a recording of events; say with --rate how many ticks a second are made of it.")
    return stack_frames(read_events(source), specs, fit.rate, os.fspath(source))


def check_suffix(path: Path) -> str:
    """The suffix of a file that this module can read or write; InputError for any other."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path} does not end in {', '.join(SUFFIXES)}, so its format is not known; rename it.")
    return suffix


def _load(path: Path, specs: Sequence[TensorSpec]) -> dict[str, Array]:
    """The arrays of a NumPy file; one without a name is the only input's."""
    stored = read_numpy(path)
    if isinstance(stored, dict):
        return stored
    if len(specs) != 1:
        raise InputError(f"{path} holds one array and {len(specs)} are needed; save them by name with numpy.savez.")
    return {specs[0].name: stored}


def read_csv(lines: Iterable[str], specs: Sequence[TensorSpec], source: str) -> Iterator[dict[str, Array]]:
    """One tick for each line, as soon as the line is there: arrays of the specs' shapes and dtypes by name.

    `source` names the text in messages. Raises InputError for a line with another number of values than columns, for a
    value its dtype cannot hold, and for unknown, repeated or missing columns.
    """
    expected = column_names(specs)
    order: list[int] | None = None
    for number, cells in enumerate(_rows(lines, source), start=1):
        if not cells:
            continue
        if order is None:
            order = _order(cells, expected, source)
            if _is_header(cells):
                continue
        if len(cells) != len(expected):
            raise InputError(f"{source}, line {number}: {len(cells)} values and there must be {len(expected)}.")
        try:
            yield _tick([cells[position] for position in order], specs)
        except (ValueError, OverflowError) as error:
            raise InputError(f"{source}, line {number}: {error}; every column needs a number.") from error


def _rows(lines: Iterable[str], source: str) -> Iterator[list[str]]:
    """The cells of each line; InputError for what is no text."""
    try:
        yield from csv.reader(lines)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(
            f"{source} is no text of numbers and commas ({error}); write one line for each tick."
        ) from error


def stack(ticks: Iterable[Mapping[str, Array]], specs: Sequence[TensorSpec], source: str) -> dict[str, Array]:
    """Ticks as arrays with a leading time axis; InputError when there is none."""
    every = list(ticks)
    if not every:
        raise InputError(f"{source} holds no line of numbers; give one line for each tick.")
    return {spec.name: np.stack([tick[spec.name] for tick in every]) for spec in specs}


def _is_header(cells: Sequence[str]) -> bool:
    """Whether a first line names its columns: not one of its values is a number."""
    for cell in cells:
        try:
            float(cell)
        except ValueError:
            continue
        return False
    return True


def _order(cells: Sequence[str], expected: Sequence[str], source: str) -> list[int]:
    """Where each expected column stands, from the first line."""
    if not _is_header(cells):
        return list(range(len(expected)))
    names = [cell.strip() for cell in cells]
    if sorted(names) != sorted(expected):
        wrong = next((name for name in names if name not in expected), None)
        problem = f"has an unknown column {wrong!r}" if wrong is not None else "lacks or repeats a column"
        shown = ", ".join(expected if len(expected) <= 4 else [*expected[:2], "…", expected[-1]])
        raise InputError(f"{source} {problem}; the columns are {shown}.")
    return [names.index(name) for name in expected]


def _tick(cells: Sequence[str], specs: Sequence[TensorSpec]) -> dict[str, Array]:
    """One line's values, in the order of the columns."""
    arrays, start = {}, 0
    for spec in specs:
        part = cells[start : start + spec.size]
        start += spec.size
        arrays[spec.name] = _parse(part, spec).reshape(spec.shape)
    return arrays


def _parse(cells: Sequence[str], spec: TensorSpec) -> Array:
    """Texts as a flat array of the spec's dtype; ValueError or OverflowError for what the dtype cannot hold."""
    if spec.dtype.startswith("float"):
        with np.errstate(over="ignore"):
            numbers = np.array([float(cell) for cell in cells], dtype=spec.dtype)
        if any("inf" not in cells[position].lower() for position in np.flatnonzero(np.isinf(numbers)).tolist()):
            raise ValueError(f"{spec.name} is {spec.dtype}, which does not hold so large a number")
        return numbers
    integers = [int(cell) for cell in cells]
    if spec.dtype == "bool":
        if not set(integers) <= {0, 1}:
            raise ValueError(f"{spec.name} takes 0 or 1")
    else:
        limits = np.iinfo(spec.dtype)
        if not limits.min <= min(integers) <= max(integers) <= limits.max:
            raise ValueError(f"{spec.name} is {spec.dtype} and takes {limits.min} to {limits.max}")
    return np.array(integers, dtype=spec.dtype)


def column_names(specs: Sequence[TensorSpec]) -> list[str]:
    """The columns of a CSV file that holds an array for each spec."""
    return [
        name
        for spec in specs
        for name in ([spec.name] if spec.size == 1 else [f"{spec.name}[{index}]" for index in range(spec.size)])
    ]


def csv_line(cells: Iterable[object]) -> str:
    """Values as one line of CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def csv_values(tick: Mapping[str, Array], specs: Sequence[TensorSpec]) -> list[str]:
    """The values of one tick, each with the fewest digits that read back unchanged in its dtype; True is 1."""
    return [_text(value) for spec in specs for value in np.asarray(tick[spec.name]).ravel()]


def _text(value: np.generic) -> str:
    return str(int(value)) if isinstance(value, np.bool_) else str(value)


def encode_arrays(suffix: str, arrays: Mapping[str, Array], specs: Sequence[TensorSpec]) -> bytes:
    """The content of a file with this suffix that holds `arrays`, `(T, *shape)` each, in the order of `specs`.

    Raises InputError when the suffix is `.npy` and there is more than one array.
    """
    if suffix == ".csv":
        ticks = len(arrays[specs[0].name])
        rows = (csv_values({name: array[tick] for name, array in arrays.items()}, specs) for tick in range(ticks))
        return "".join(map(csv_line, [column_names(specs), *rows])).encode()
    content = io.BytesIO()
    if suffix == ".npz":
        np.savez(content, **{spec.name: arrays[spec.name] for spec in specs})  # type: ignore[arg-type]
    elif len(specs) == 1:
        np.save(content, arrays[specs[0].name])
    else:
        raise InputError(f"A .npy file holds one array and the step gives {len(specs)}; write a .npz file.")
    return content.getvalue()
