"""All conformance cases of the frameworks that are installed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from tests.conformance.cases import Case

# The file that holds a framework's cases, and what must be installed for it.
FRAMEWORKS = {
    "snntorch_cells": ("snntorch",),
    "spikingjelly_cells": ("spikingjelly",),
    "spikingjelly_layers": ("spikingjelly",),
    "spikingjelly_networks": ("spikingjelly",),
    "norse_cells": ("norse",),
    "sinabs_cells": ("sinabs",),
    "torch_cells": (),
    "torch_layers": (),
    "nir_cells": ("nir",),
    "zoo_cells_a": (),
    "zoo_cells_b": (),
    "zoo_cells_c": (),
    "zoo_cells_d": (),
}


def all_cases() -> list[Case]:
    """The cases of every framework that is installed, in the order of the table."""
    files = [file for file, needed in FRAMEWORKS.items() if all(find_spec(name) for name in needed)]
    return [case for file in files for case in import_module(f"tests.conformance.{file}").CASES]


def missing() -> list[str]:
    """What is not installed, so that its cases are left out."""
    needed = {name for names in FRAMEWORKS.values() for name in names}
    return sorted(name for name in needed if find_spec(name) is None)
