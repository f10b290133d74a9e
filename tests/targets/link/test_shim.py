"""The C shim, called as any C host would: checks, floating-point mode, stop flag, memory functions."""

from __future__ import annotations

import ctypes
import platform
from ctypes import addressof, byref, c_int32, c_void_p, sizeof
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from astroedge.abi import layout as c
from astroedge.abi.aligned import address_of, aligned_zeros
from astroedge.abi.limits import ALIGNMENT
from astroedge.bundle.initial_state import write_initial_state
from astroedge.bundle.manifest import BufferField, InputField, Layout, StateField
from astroedge.runtimes.library.native_library import load_library
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.link import linker
from tests.support.bundles import (
    TINY_TICK,
    TOKENS,
    compile_tick,
    draw_ticks,
    make_bundle,
    tiny_layout,
    tiny_manifest,
    weights_bytes,
)

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


@pytest.mark.parametrize("name", ["inputs", "outputs", "state", "weights", "workspace"])
def test_null_and_unaligned_buffers_are_refused(name: str) -> None:
    """Each of the five pointers is checked for NULL and for its alignment before anything is touched."""
    host = tiny_host()
    before = host.state.copy()
    address = getattr(host.call, name)
    setattr(host.call, name, None)
    assert (host.step(), host.run()) == (c.E_CALL, c.E_CALL)
    setattr(host.call, name, address + 32)
    assert (host.step(), host.run()) == (c.E_ALIGNMENT, c.E_ALIGNMENT)
    assert np.array_equal(host.state, before)


def test_call_structure_is_checked() -> None:
    """NULL and a structure smaller than this interface's are refused; a larger, later one is taken."""
    host = tiny_host()
    assert host.library.astro_step(None) == c.E_CALL
    assert host.library.astro_run(None) == c.E_CALL
    host.call.size = c.AstroCall.team.offset - 1
    host.call.steps_done = 77
    assert host.step() == c.E_CALL
    assert host.call.steps_done == 77, "a structure of another size must not be written"
    host.call.size = sizeof(c.AstroCall) + 64
    assert host.step() == c.OK


def test_strides_are_checked() -> None:
    """A run refuses strides that overlap, are unaligned or would leave the address space; one tick needs none."""
    host = tiny_host(ticks=3)
    before = host.state.copy()
    for attribute in ("input_stride", "output_stride"):
        right = getattr(host.call, attribute)
        for wrong, status in ((right - 64, c.E_STRIDE), (right + 8, c.E_ALIGNMENT), (2**64 - 64, c.E_STRIDE)):
            setattr(host.call, attribute, wrong)
            assert host.run() == status, (attribute, wrong)
        setattr(host.call, attribute, right)
    host.call.input_stride = 0
    assert host.run() == c.E_STRIDE
    assert np.array_equal(host.state, before)
    host.call.steps = 1
    assert host.run() == c.OK


def test_run_equals_steps() -> None:
    """astro_run over T records gives what T calls of astro_step give; output stride 0 keeps the last outputs only."""
    ticks = 50
    whole, single, last = tiny_host(ticks), tiny_host(ticks), tiny_host(ticks)
    assert whole.run() == c.OK
    assert whole.call.steps_done == ticks
    for tick in range(ticks):
        single.call.inputs = address_of(single.inputs) + tick * single.layout.inputs_size
        single.call.outputs = address_of(single.outputs) + tick * single.layout.outputs_size
        assert single.step() == c.OK
        assert single.call.steps_done == 1
    assert np.array_equal(whole.state, single.state)
    assert np.array_equal(whole.outputs, single.outputs)
    last.call.output_stride = 0
    assert last.run() == c.OK
    assert np.array_equal(last.outputs[:128], whole.outputs[-128:])
    assert not last.outputs[128:].any()
    assert whole.workspace[:8].view(np.uint64)[0] > ticks, "the layer must fire, or the test proves nothing"


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


def test_stop_flag_ends_a_run_between_ticks() -> None:
    """A flag that is set before the run stops it at once; unset it changes nothing."""
    host = tiny_host(ticks=5)
    flag = c_int32(1)
    host.call.stop = addressof(flag)
    assert host.run() == c.STOPPED
    assert host.call.steps_done == 0
    flag.value = 0
    assert host.run() == c.OK
    assert host.call.steps_done == 5


def test_run_of_no_ticks_does_nothing() -> None:
    """Zero steps are fine."""
    host = tiny_host()
    before = host.state.copy()
    host.call.steps = 0
    assert host.run() == c.OK
    assert np.array_equal(host.state, before)


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


def test_error_of_the_tick_is_passed_on() -> None:
    """A compiled tick that reports an error is a status of its own, and its tick does not count."""
    tick = "int astroedge_tick(void *i, void *o, char *s) { return ++*s == 3; }"
    host = Host(
        load_library(make_bundle(tiny_manifest(NATIVE), tick, weights_bytes(), NATIVE).library()),
        tiny_layout(),
        weights_bytes(),
        5,
    )
    host.state[0] = 0
    assert host.run() == c.E_TICK
    assert host.call.steps_done == 2


MODE_TICK = """
#include <stdint.h>
int32_t astroedge_tick(void *i, uint64_t *o)
{
#ifdef __x86_64__
    uint32_t mode;
    __asm__ volatile("stmxcsr %0" : "=m"(mode));
    *o = mode;
    mode |= 0x3f;
    __asm__ volatile("ldmxcsr %0" : : "m"(mode));
#else
    __asm__ volatile("mrs %0, fpcr" : "=r"(*o));
#endif
    return 0;
}
"""
CALLER = """
#include <stdint.h>
static uint64_t get(void)
{
#ifdef __x86_64__
    uint32_t mode;
    __asm__ volatile("stmxcsr %0" : "=m"(mode));
    return mode;
#else
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
#endif
}
static void set(uint64_t value)
{
#ifdef __x86_64__
    uint32_t mode = value;
    __asm__ volatile("ldmxcsr %0" : : "m"(mode));
#else
    __asm__ volatile("msr fpcr, %0" : : "r"(value));
#endif
}
uint64_t call_in_mode(int32_t (*entry)(void *), void *call, uint64_t mode)
{
    uint64_t mine = get();
    set(mode);
    entry(call);
    uint64_t after = get();
    set(mine);
    return after;
}
"""


@pytest.mark.parametrize("entry", ["astro_step", "astro_run"])
def test_floating_point_mode_is_set_and_restored(entry: str) -> None:
    """A tick computes with rounding to nearest and denormals whatever the caller's mode, which is kept."""
    odd, standard = (0xFFC0, 0x1F80) if platform.machine() == "x86_64" else (0x01C00000, 0)
    host = Host(
        load_library(make_bundle(tiny_manifest(NATIVE), MODE_TICK, weights_bytes(), NATIVE).library()),
        tiny_layout(),
        weights_bytes(),
    )
    with TemporaryDirectory() as name:
        (Path(name) / "caller.c").write_text(CALLER)
        options = ["-O1", "-shared", "-fPIC", "caller.c", "-o", "caller.so"]
        linker.run_compiler(linker.find_linker(NATIVE), options, Path(name))
        caller = ctypes.CDLL(str(Path(name) / "caller.so"))
    caller.call_in_mode.restype = ctypes.c_uint64
    caller.call_in_mode.argtypes = (c_void_p, c_void_p, ctypes.c_uint64)
    function = ctypes.cast(getattr(host.library, entry), c_void_p)
    assert caller.call_in_mode(function, addressof(host.call), odd) == odd
    assert host.outputs[:8].view(np.uint64)[0] == standard


MEMORY_TICK = """
#include <stdint.h>
#include <string.h>
int32_t astroedge_tick(int64_t *in, int64_t *out, uint8_t *state)
{
    /* operation, target, source, size, value */
    uint8_t *to = state + in[1], *from = state + in[2];
    switch (in[0]) {
    case 0: memcpy(to, from, in[3]); break;
    case 1: memmove(to, from, in[3]); break;
    case 2: memset(to, (int)in[4], in[3]); break;
    default: *out = memcmp(to, from, in[3]);
    }
    return 0;
}
"""
MEMORY = 512


@pytest.fixture(params=["zig", "cc"])
def memory_host(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A tick that calls the memory functions, linked by zig and by the machine's own compiler."""
    if request.param == "cc":
        monkeypatch.setattr(linker, "find_spec", lambda name: None)
    compile_tick.cache_clear()
    field = InputField("x", (5,), "int64", 0, 40, False, False, 0, 0, "spike", 1)
    layout = Layout(
        64,
        (field,),
        64,
        (BufferField("y", (1,), "int64", 0, 8),),
        MEMORY,
        (StateField("s", (MEMORY,), "uint8", 0, MEMORY, False, (0.0).hex(), 0),),
        64,
        (),
        64,
    )
    step = StepSpec(
        (TensorSpec("x", (5,), "int64"),), (TensorSpec("y", (1,), "int64"),), (StateSpec("s", (MEMORY,), "uint8"),)
    )
    manifest = replace(tiny_manifest(NATIVE), layout=layout, step=step, activity=())
    bundle = make_bundle(manifest, MEMORY_TICK, bytes(64), NATIVE)
    compile_tick.cache_clear()
    return Host(load_library(bundle.library()), layout, bytes(64))


def test_memory_functions_do_what_the_c_library_does(memory_host: Host) -> None:
    """memcpy, memmove with any overlap, memset and memcmp at every alignment and size, against Python's own."""
    draw = np.random.default_rng(3)
    arguments = memory_host.inputs[:40].view(np.int64)
    for _ in range(3000):
        content = draw.integers(0, 4, MEMORY, dtype=np.uint8)
        operation, size = int(draw.integers(0, 4)), int(draw.integers(0, 90))
        source = int(draw.integers(0, 100))
        target = source + size + int(draw.integers(0, 50)) if operation == 0 else int(draw.integers(0, 190))
        value = int(draw.integers(-300, 300))
        memory_host.state[:] = content
        arguments[:] = operation, target, source, size, value
        assert memory_host.step() == c.OK
        expected = bytearray(content.tobytes())
        left, right = bytes(expected[target : target + size]), bytes(expected[source : source + size])
        if operation <= 1:
            expected[target : target + size] = right
        elif operation == 2:
            expected[target : target + size] = bytes([value % 256]) * size
        else:
            found = int(memory_host.outputs[:8].view(np.int64)[0])
            assert (found > 0) - (found < 0) == (left > right) - (left < right)
        assert memory_host.state.tobytes() == bytes(expected), (operation, target, source, size)
