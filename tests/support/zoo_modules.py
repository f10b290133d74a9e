"""The files that train the zoo, imported the way they import each other."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from tests.support.places import ROOT

FOLDER = ROOT / "examples" / "zoo"


@contextmanager
def zoo_module(name: str) -> Iterator[ModuleType]:
    """A module such as `frame.baselines`; afterwards none of the folder's is left among the imported ones."""
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module(name)
    finally:
        sys.path.remove(str(FOLDER))
        for other in [key for key in sys.modules if key.partition(".")[0] in ("frame", "recipes")]:
            del sys.modules[other]
