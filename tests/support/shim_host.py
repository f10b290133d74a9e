"""A C host in Python: buffers for a layout, and the shim's entries called on them."""

from __future__ import annotations

import ctypes
from ctypes import byref, sizeof
from functools import cache

import numpy as np

from astroedge.abi import layout as c
from astroedge.abi.aligned import address_of, aligned_zeros
from astroedge.bundle.initial_state import write_initial_state
from astroedge.bundle.manifest import Layout
from astroedge.runtimes.library.native_library import load_library
from astroedge.targets.boards.target import resolve_target
from tests.support.bundles import TINY_TICK, draw_ticks, make_bundle, tiny_layout, tiny_manifest, weights_bytes

NATIVE = resolve_target("native")


class Host:
    """Buffers for a layout and a call that points at them."""

    def __init__(self, library: ctypes.CDLL, layout: Layout, weights: bytes, ticks: int = 1) -> None:
        self.library, self.layout = library, layout
        self.inputs = aligned_zeros(layout.inputs_size * ticks)
        self.outputs = aligned_zeros(layout.outputs_size * ticks)
        self.state = aligned_zeros(layout.state_size)
        self.weights = aligned_zeros(layout.weights_size)
        self.weights[:] = np.frombuffer(weights, np.uint8)
        self.workspace = aligned_zeros(layout.workspace_size)
        write_initial_state(layout, self.weights, self.state)
        self.call = c.AstroCall(size=sizeof(c.AstroCall), steps=ticks)
        for name in ("inputs", "outputs", "state", "weights", "workspace"):
            setattr(self.call, name, address_of(getattr(self, name)))
        self.call.input_stride, self.call.output_stride = layout.inputs_size, layout.outputs_size

    def step(self) -> int:
        """astro_step."""
        return int(self.library.astro_step(byref(self.call)))

    def run(self) -> int:
        """astro_run."""
        return int(self.library.astro_run(byref(self.call)))


@cache
def tiny_library() -> ctypes.CDLL:
    """The tiny layer."""
    return load_library(make_bundle(tiny_manifest(NATIVE), TINY_TICK, weights_bytes(), NATIVE).library())


def tiny_host(ticks: int = 1, seed: int = 1) -> Host:
    """A host of the tiny layer with drawn inputs in its records."""
    host = Host(tiny_library(), tiny_layout(), weights_bytes(), ticks)
    records = host.inputs.reshape(ticks, -1)
    for field, array in zip(host.layout.inputs, draw_ticks(ticks, seed).values(), strict=True):
        records[:, field.offset : field.offset + field.nbytes] = array.reshape(ticks, -1).view(np.uint8)
    return host
