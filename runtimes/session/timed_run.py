"""Native ticks with a clock beside them: how long they take as they are, and when each of their kernels begins.

One thread computes them, whatever the session has: what a kernel takes is its own then, without waiting for others.
"""

from __future__ import annotations

import ctypes
from time import perf_counter_ns
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from astroedge.abi.aligned import address_of
from astroedge.abi.layout import STOPPED, AstroCall
from astroedge.bundle.manifest import Manifest
from astroedge.errors import InputError
from astroedge.runtimes.session.call_arguments import as_arrays, count_ticks
from astroedge.runtimes.session.input_slot import Records
from astroedge.session import Array

if TYPE_CHECKING:
    from collections.abc import Mapping

    from astroedge.runtimes.session.compiled import CompiledSession

Stamps = NDArray[np.uint64]
"""Readings of the processor's counter, `(ticks, kernels + 1)`: when each kernel began, and when the tick ended."""

ON_GPU = (
    "A GPU computes a tick of this bundle in one launch, and kernels inside a launch are not timed; profile it without "
    "its kernels, or compile the graph for the board's processor."
)


class TimedRun:
    """The ticks of some inputs, packed and checked once, to be computed again and again from the session's state."""

    def __init__(self, session: CompiledSession, inputs: Mapping[str, Array], steps: int | None = None) -> None:
        """`inputs` are arrays `(T, …)` by name; `steps` says how many ticks where a step has no inputs.

        Raises InputError as `CompiledSession.run` does, and where no kernel can be timed.
        """
        manifest = session.manifest
        refuse_kernels(manifest)
        session._check_available()
        self._session = session
        arrays = as_arrays(session._slots, inputs)
        self.ticks = count_ticks(session._slots, arrays, steps)
        self._records = Records(manifest.layout.inputs_size, self.ticks)
        for name, slot in session._slots.items():
            self._records.field(slot.field, slot.view)[...] = arrays[name]
        self._call = AstroCall.from_buffer_copy(session._run_call)
        self._call.team = None
        self._call.inputs, self._call.input_stride = self._records.address, self._records.size
        self._call.outputs, self._call.output_stride = address_of(session._outputs), 0
        self._call.steps = self.ticks
        self._check()

    def run(self) -> int:
        """Compute the ticks; returns the nanoseconds of the native call."""
        self._call.stamps = None
        return self._compute()

    def run_with_stamps(self) -> tuple[int, Stamps]:
        """Compute the ticks, noting the time at each kernel; returns the nanoseconds of the native call, too."""
        stamps = np.zeros((self.ticks, self._session.manifest.stamps), np.uint64)
        self._call.stamps = address_of(stamps)
        try:
            return self._compute(), stamps
        finally:
            self._call.stamps = None

    def _check(self) -> None:
        """Have all ticks checked and none computed: a run whose stop flag is set."""
        stop = ctypes.c_int32(1)
        self._call.stop, self._call.steps_checked = ctypes.addressof(stop), 0
        status = self._session._native_run(ctypes.byref(self._call))
        self._call.stop, self._call.steps_checked = None, self.ticks
        if status != STOPPED:
            bad = self._call.bad_step
            raise self._session._refusal(status, self._call, self._records.record(bad), bad)

    def _compute(self) -> int:
        self._session._check_available()
        call, native = ctypes.byref(self._call), self._session._native_run
        self._call.steps_done = 0
        begin = perf_counter_ns()
        status = native(call)
        took = perf_counter_ns() - begin
        self._session._ticks += self._call.steps_done
        if status:
            raise self._session._refusal(status, self._call, self._records.record(0), None)
        return took


def refuse_kernels(manifest: Manifest) -> None:
    """Raise InputError for a step whose kernels cannot be timed."""
    if manifest.device is not None:
        raise InputError(ON_GPU)
    if manifest.probes:
        raise InputError(
            "A build with probes is for looking at values, and its kernels are not timed; compile without."
        )
    if not manifest.stamps:
        raise InputError("The step computes nothing, so it has no kernels to time.")


def read_clock(session: CompiledSession, count: int) -> Stamps:
    """The processor's counter, read `count` times in a row as between two kernels."""
    stamps = np.zeros(count, np.uint64)
    entry = session._library.astro_clock
    entry.restype, entry.argtypes = ctypes.c_int32, (ctypes.c_void_p, ctypes.c_uint64)
    entry(address_of(stamps), count)
    return stamps
