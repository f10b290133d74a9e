"""Arrays in NumPy's own files, `.npy` and `.npz`, whoever wrote them."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroedge.errors import InputError
from astroedge.regular_file import open_regular

Array = NDArray[Any]
_LONGEST_REASON = 120  # NumPy quotes whole headers


def read_numpy(path: str | os.PathLike[str]) -> Array | dict[str, Array]:
    """The array in a `.npy` file, or those of a `.npz` file by name. Pickles are refused.

    Raises InputError for a file that holds anything else, is damaged or says that it holds more than memory does;
    OSError when it cannot be opened.
    """
    with open_regular(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers that Python 2 wrote
        try:
            stored = np.load(file, allow_pickle=False)
            found = stored if isinstance(stored, np.ndarray) else {name: stored[name] for name in stored.files}
        except Exception as error:  # NumPy, zipfile and what unpacks members raise whatever they stumble over
            raise InputError(
                f"{os.fspath(path)} is not a NumPy file of plain arrays ({_reason(error)}); save it with numpy.save or "
                "numpy.savez."
            ) from error
    for name, array in found.items() if isinstance(found, dict) else ():
        if not isinstance(array, np.ndarray):
            raise InputError(f"{name!r} in {os.fspath(path)} is no array; save the file again with numpy.savez.")
    return found


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"
