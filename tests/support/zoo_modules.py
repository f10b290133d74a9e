"""The files that train the zoo, imported the way they import each other."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from tests.support.places import ROOT

FOLDERS = [str(ROOT / "examples" / name) for name in ("zoo", "char_lm")]  # the texts and n-grams are next door
ROOMS = ("train_zoo", "frame", "recipes", "corpus", "kneser_ney")


@contextmanager
def zoo_module(name: str) -> Iterator[ModuleType]:
    """A module such as `frame.baselines`; afterwards none of the folders' is left among the imported ones."""
    sys.path[:0] = FOLDERS
    try:
        yield importlib.import_module(name)
    finally:
        for folder in FOLDERS:
            sys.path.remove(folder)
        for other in [key for key in sys.modules if key.partition(".")[0] in ROOMS]:
            del sys.modules[other]
