"""The ticks that are fed to a step while it is measured: given or drawn ones, in a loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import cycle
from math import prod
from typing import Any

import numpy as np

from astroedge.bundle.manifest import Manifest
from astroedge.errors import InputError
from astroedge.runtimes.checking.golden import draw_inputs
from astroedge.session import Array

Tick = dict[str, Any]  # the arguments of one call of Session.step

DRAWN_TICKS = 1000
DRAWN_BYTES = 64 << 20  # larger inputs are drawn for fewer ticks
FEWEST_DRAWN = 10


class Ticks:
    """Ticks in a loop: `arguments` of `Session.step` for each, and `data`, arrays `(T, …)` by name.

    All of them write into the same output arrays. `inputs` says in words what is fed. The loop goes on where it was.
    """

    def __init__(self, manifest: Manifest, inputs: Mapping[str, Array] | None, steps: int | None) -> None:
        """The given inputs, or at most `DRAWN_TICKS` drawn like the golden trace's; `steps` where no more are needed.

        Raises InputError when an input has no ticks.
        """
        count = _drawn_ticks(manifest) if inputs is None else _given_ticks(inputs)
        count = count if steps is None else min(count, steps)
        drawn = f"drawn from seed {manifest.golden.seed}"
        self.inputs = drawn if inputs is None else "given"
        if steps is None or steps > count:
            self.inputs += f", {count:,} ticks in a loop"
        fields = manifest.layout.inputs
        self.data = draw_inputs(fields, manifest.golden.seed, 0, count) if inputs is None else inputs
        out = {item.name: np.zeros(item.shape, item.dtype) for item in manifest.layout.outputs}
        # An input that is itself called "out" leaves no way to pass output arrays.
        shared: Tick = {} if any(item.name == "out" for item in fields) else {"out": out}
        self.arguments = [
            {**shared, **{name: array[tick] for name, array in self.data.items()}} for tick in range(count)
        ]
        self._loop = cycle(self.arguments)

    def __len__(self) -> int:
        return len(self.arguments)

    def __iter__(self) -> Iterator[Tick]:
        """The loop, which has no end and goes on where the last iteration left it."""
        return self._loop

    def restart(self) -> None:
        """Begin the loop again at the first tick."""
        self._loop = cycle(self.arguments)

    def block(self, first: int, count: int) -> dict[str, Array]:
        """Inputs of `count` ticks of the loop from tick `first` on, (count, …) by name."""
        chosen = np.arange(first, first + count) % len(self)
        return {name: array[chosen] for name, array in self.data.items()}


def _given_ticks(inputs: Mapping[str, Array]) -> int:
    for name, array in inputs.items():
        if array.ndim == 0 or not array.shape[0]:
            raise InputError(f"Input {name!r} has no ticks; its arrays are (T, …) with T at least 1.")
    return min((array.shape[0] for array in inputs.values()), default=DRAWN_TICKS)


def _drawn_ticks(manifest: Manifest) -> int:
    nbytes = sum(8 * prod(item.shape) for item in manifest.layout.inputs)  # what is drawn has 8 bytes an element
    return max(FEWEST_DRAWN, min(DRAWN_TICKS, DRAWN_BYTES // max(nbytes, 1)))
