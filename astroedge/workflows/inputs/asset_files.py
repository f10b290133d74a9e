"""Files that a user gives a step to carry: names of classes, a tokenizer."""

from __future__ import annotations

import os

from astroedge.errors import InputError
from astroedge.regular_file import open_regular
from astroedge.step.assets import LABELS, LARGEST_ASSET, TOKENIZER, label_names
from astroedge.workflows.inputs.tokenizer import Tokenizer

PathLike = str | os.PathLike[str]


def read_assets(labels: PathLike | None, tokenizer: PathLike | None = None) -> dict[str, bytes]:
    """The assets in the files that were given, by the names they have in a graph and a bundle.

    Raises InputError for a file that is none of its kind, OSError for one that cannot be read, MissingDependencyError
    where the package that tells whether a tokenizer is one is not installed.
    """
    assets = {}
    if labels is not None:
        assets[LABELS] = _read(labels)
        label_names(assets[LABELS], os.fspath(labels))
    if tokenizer is not None:
        assets[TOKENIZER] = _read(tokenizer)
        Tokenizer(assets[TOKENIZER], os.fspath(tokenizer))
    return assets


def _read(path: PathLike) -> bytes:
    with open_regular(path) as file:
        content = file.read(LARGEST_ASSET + 1)
    if len(content) > LARGEST_ASSET:
        raise InputError(f"{os.fspath(path)} is larger than the {LARGEST_ASSET:,} bytes that an asset may have.")
    return content
