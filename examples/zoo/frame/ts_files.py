"""Sequences of the UEA and UCR archives that come with the wheel of aeon 1.6.0 (BSD-3-Clause).

The files are read from the installed wheel as text: aeon itself asks for older packages than ours, so it is installed
without them and never imported.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import torch

from frame.recipe import Series

PACKAGE = "aeon"
HOW = "pip install --no-deps aeon==1.6.0"


def load_ts(name: str) -> tuple[Series, Series, tuple[str, ...]]:
    """The training and the held-out sequences of the data set `name`, `(T, dimensions)`, and its classes' names.

    Raises FileNotFoundError where the wheel is missing, with what installs it.
    """
    training, classes = _read(_find(f"{name}_TRAIN.ts"))
    held_out, same = _read(_find(f"{name}_TEST.ts"))
    if classes != same:
        raise ValueError(f"The two files of {name} name different classes: {classes} and {same}.")
    return training, held_out, classes


def _find(file_name: str) -> Path:
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    found = [Path(str(file.locate())) for file in files if file.name == file_name]
    if not found:
        raise FileNotFoundError(f"{file_name} comes with the wheel of {PACKAGE}, which is not installed: {HOW}")
    return found[0]


def _read(path: Path) -> tuple[Series, tuple[str, ...]]:
    """Settings, `@classLabel true NAMES…` among them, then a sequence a line: `1,2:3,4:CLASS`, dimensions first."""
    settings, _, lines = path.read_text(encoding="utf-8").partition("@data\n")
    declared = next(line for line in settings.splitlines() if line.lower().startswith("@classlabel"))
    classes = tuple(declared.split()[2:])
    rows = [line.split(":") for line in lines.splitlines() if line.strip()]
    inputs = [_sequence(parts) for *parts, _ in rows]
    labels = torch.tensor([classes.index(label.strip()) for *_, label in rows])
    return Series(inputs, labels), classes


def _sequence(dimensions: list[str]) -> torch.Tensor:
    """`(T, dimensions)` of the text of each dimension."""
    return torch.tensor([[float(x) for x in values.split(",")] for values in dimensions]).t().contiguous()
