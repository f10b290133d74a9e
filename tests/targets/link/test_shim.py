"""The C shim, called as any C host would: what it checks of a call, how it runs ticks, and when it stops."""

from __future__ import annotations

from ctypes import addressof, c_int32, c_uint64, c_void_p, sizeof
from dataclasses import replace

import numpy as np
import pytest

from astroedge.abi import layout as c
from astroedge.abi.aligned import address_of, aligned_zeros
from astroedge.runtimes.library.native_library import load_library
from tests.support.bundles import TINY_TICK, make_bundle, tiny_layout, tiny_manifest, weights_bytes
from tests.support.shim_host import NATIVE, Host, tiny_host


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
    assert np.array_equal(host.state, before)
    host.call.input_stride, host.call.steps = 64, 1
    assert host.run() == c.OK


def test_input_stride_0_reads_one_record_in_every_tick() -> None:
    """A record that is repeated gives what copies of it give, and is checked once, with the place of what is wrong."""
    ticks = 20
    copied, repeated = tiny_host(ticks), tiny_host(ticks)
    size = copied.layout.inputs_size
    copied.inputs.reshape(ticks, size)[:] = copied.inputs[:size]
    repeated.inputs[size:] = 0xFF  # NaNs, which nobody reads
    repeated.call.input_stride = 0
    assert (copied.run(), repeated.run()) == (c.OK, c.OK)
    assert np.array_equal(copied.state, repeated.state)
    assert np.array_equal(copied.outputs, repeated.outputs)
    repeated.inputs[64:68] = 0xFF
    assert repeated.run() == c.E_NAN
    assert (repeated.call.bad_input, repeated.call.bad_step) == (1, 0)


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


def test_stamps_tell_when_every_tick_ended() -> None:
    """A run with stamps computes the same bits; this tick notes nothing itself, and its end is noted behind it."""
    plain, timed = tiny_host(ticks=5), tiny_host(ticks=5)
    stamps = np.zeros((5, 2), np.uint64)
    timed.call.stamps = address_of(stamps)
    assert (plain.run(), timed.run()) == (c.OK, c.OK)
    assert np.array_equal(plain.state, timed.state)
    assert np.array_equal(plain.outputs, timed.outputs)
    assert not stamps[:, 0].any()
    assert (np.diff(stamps[:, 1].astype(np.int64)) >= 0).all()
    assert stamps[0, 1] > 0
    timed.call.size = c.AstroCall.stamps.offset  # a host of earlier times
    timed.call.stamps = 1
    assert timed.run() == c.OK


def test_stamps_are_of_one_thread_and_of_kernels() -> None:
    """A team is refused with them, and so is a step of which no kernel is known."""
    manifest = replace(tiny_manifest(NATIVE), kernels=())
    bundle = make_bundle(manifest, TINY_TICK, weights_bytes(), NATIVE)
    stamps = np.zeros(2, np.uint64)
    unknown, known = Host(load_library(bundle.library()), tiny_layout(), weights_bytes()), tiny_host()
    for host in (unknown, known):
        host.call.stamps = address_of(stamps)
    known.call.team = address_of(aligned_zeros(64))
    assert (unknown.step(), known.step()) == (c.E_CALL, c.E_CALL)


def test_the_clock_goes_forward() -> None:
    """astro_clock reads the counter as often as it is told to, and needs room for it."""
    clock, stamps = tiny_host().library.astro_clock, np.zeros(101, np.uint64)
    clock.argtypes = (c_void_p, c_uint64)
    assert clock(address_of(stamps), 100) == c.OK
    assert (np.diff(stamps[:100].astype(np.int64)) >= 0).all()
    assert (stamps[0] > 0, stamps[100]) == (True, 0)
    assert (clock(None, 1), clock(address_of(stamps), 2**31)) == (c.E_CALL, c.E_CALL)


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
