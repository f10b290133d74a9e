"""Whose code something is: a library's, whose inside is not searched and never blamed, or the user's."""

from __future__ import annotations

import os
import sys

import numpy as np
import torch

FRAMEWORKS = frozenset({"norse", "sinabs", "snntorch", "spikingjelly"})
"""The packages that `frameworks` knows; that room is above this one, so a test holds the two together."""
PACKAGES = sys.stdlib_module_names | FRAMEWORKS | {"astroedge", "numpy", "onnx", "torch"}
_EXPORTERS = os.path.dirname(os.path.dirname(__file__))
_FOLDERS = (_EXPORTERS, *(os.path.dirname(file) for file in (torch.__file__, np.__file__, os.__file__)))


def is_library_file(file: str) -> bool:
    """Whether a source file belongs to PyTorch, NumPy, this package or Python itself, not to the user's model."""
    return file.startswith(("<", *_FOLDERS))


def is_own_file(file: str) -> bool:
    """Whether a source file is of this room's package, the exporters."""
    return file.startswith(_EXPORTERS)


def is_library(module: str | None) -> bool:
    """Whether a module, by its name in Python, is Python's or of a package whose inside is not the user's."""
    return str(module).partition(".")[0] in PACKAGES


def is_installed(module: str) -> bool:
    """Whether a module is a library's or of any other installed package, however many of those the user's code uses."""
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return is_library(module) or "site-packages" in file or "dist-packages" in file
