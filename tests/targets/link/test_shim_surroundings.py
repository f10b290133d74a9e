"""What a tick finds around it: the floating-point mode, and memory functions without a C library."""

from __future__ import annotations

import ctypes
import platform
from ctypes import addressof, c_void_p
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from astroedge.abi import layout as c
from astroedge.bundle.manifest import BufferField, InputField, Layout, StateField
from astroedge.runtimes.library.native_library import load_library
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from astroedge.targets.link import linker
from tests.support.bundles import compile_tick, make_bundle, tiny_layout, tiny_manifest, weights_bytes
from tests.support.shim_host import NATIVE, Host

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
        monkeypatch.setattr(linker, "_zig", lambda: None)
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
