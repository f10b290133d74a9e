"""The C shim looks at every input before a tick: no NaN, no index out of range, whatever the dtype."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from astroedge.abi import layout as c
from astroedge.abi.limits import ALIGNMENT
from astroedge.bundle.manifest import BufferField, InputField, Layout, StateField
from astroedge.runtimes.library.native_library import load_library
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from tests.support.bundles import TOKENS, make_bundle, tiny_manifest
from tests.support.shim_host import NATIVE, Host, tiny_host


@cache
def input_library(dtype: str, shape: tuple[int, ...], low: int, high: int) -> tuple[ctypes.CDLL, Layout]:
    """A step that counts its ticks in its state and has one input, checked for NaN or for a range."""
    floating = dtype.startswith("float")
    nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    layout = Layout(
        inputs_size=-(-nbytes // ALIGNMENT) * ALIGNMENT,
        inputs=(InputField("x", shape, dtype, 0, nbytes, floating, not floating, low, high, "spike", 1),),
        outputs_size=64,
        outputs=(BufferField("y", (1,), "float32", 0, 4),),
        state_size=64,
        state=(StateField("s", (1,), "int64", 0, 8, False, (0.0).hex(), 0),),
        weights_size=64,
        weights=(),
        workspace_size=64,
    )
    step = StepSpec(
        inputs=(TensorSpec("x", shape, dtype),),
        outputs=(TensorSpec("y", (1,), "float32"),),
        states=(StateSpec("s", (1,), "int64"),),
    )
    manifest = replace(tiny_manifest(NATIVE), layout=layout, step=step, activity=())
    tick = "#include <stdint.h>\nint32_t astroedge_tick(void *i, void *o, int64_t *s) { ++*s; return 0; }"
    return load_library(make_bundle(manifest, tick, bytes(64), NATIVE).library()), layout


def input_host(dtype: str, shape: tuple[int, ...], low: int = 0, high: int = 1) -> tuple[Host, NDArray[np.generic]]:
    """A fresh host of `input_library` and its input's view."""
    host = Host(*input_library(dtype, shape, low, high), bytes(64))
    return host, np.ndarray(shape, dtype, host.inputs.data)


def test_bad_input_in_a_later_tick_stops_the_run_before_its_first() -> None:
    """A run is checked as a whole: the place of the first bad element is told and nothing is computed."""
    host = tiny_host(ticks=20)
    before = host.state.copy()
    host.inputs[17 * 192 + 64 + 4 * 5 :][:4].view(np.float32)[0] = np.nan
    host.inputs[19 * 192 :][:8].view(np.int64)[0] = TOKENS
    assert host.run() == c.E_NAN
    assert (host.call.bad_step, host.call.bad_input, host.call.bad_element, host.call.steps_done) == (17, 1, 5, 0)
    assert np.array_equal(host.state, before)
    assert not host.outputs.any()


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 36))
def test_float32_nan_is_found_by_its_bits(bits: int, place: int) -> None:
    """Exactly the NaNs of float32 are refused, quiet or signalling, of either sign, at any place."""
    host, x = input_host("float32", (37,))
    x.view(np.uint32)[place] = bits
    is_nan = bool(np.isnan(x[place]))
    assert host.step() == (c.E_NAN if is_nan else c.OK)
    assert host.call.bad_element == (place if is_nan else 0)


def test_float32_limits() -> None:
    """Infinity and the largest number are values; the first pattern above infinity is a NaN."""
    for bits, status in (
        (0x7F7FFFFF, c.OK),
        (0x7F800000, c.OK),
        (0xFF800000, c.OK),
        (0x7F800001, c.E_NAN),
        (-1, c.E_NAN),
    ):
        host, x = input_host("float32", (3,))
        x.view(np.int32)[2] = np.uint32(bits % 2**32).view(np.int32)
        assert host.step() == status, hex(bits)


def test_every_float16_pattern() -> None:
    """All 65,536 patterns of float16 are judged as NumPy judges them."""
    host, x = input_host("float16", (1,))
    patterns = np.arange(2**16, dtype=np.uint16)
    for bits, is_nan in zip(patterns, np.isnan(patterns.view(np.float16)), strict=True):
        x.view(np.uint16)[0] = bits
        assert host.step() == (c.E_NAN if is_nan else c.OK), hex(bits)


RANGES = {
    "bool": (0, 2),
    "uint8": (3, 250),
    "int8": (-128, 100),
    "int32": (-(2**31), 5),
    "int64": (-(2**63), 2**63 - 2),
}


@pytest.mark.parametrize("dtype", RANGES)
def test_range_of_every_integer(dtype: str) -> None:
    """An index is taken from low to below high, in every dtype that can be one, at the limits of the dtype too."""
    low, high = RANGES[dtype]
    wide = np.dtype("uint8" if dtype == "bool" else dtype)
    for value in {low, high - 1, low - 1, high, int(np.iinfo(wide).min), int(np.iinfo(wide).max)}:
        if not np.iinfo(wide).min <= value <= np.iinfo(wide).max:
            continue
        host, x = input_host(dtype, (2, 3), low, high)
        x.view(wide)[:] = low
        x.view(wide)[1, 1] = value
        good = low <= value < high
        assert host.step() == (c.OK if good else c.E_RANGE), value
        assert host.call.bad_element == (0 if good else 4)
        assert host.state[:8].view(np.int64)[0] == int(good), "a refused tick must not be computed"
