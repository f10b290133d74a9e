"""The device runtime: a bundle's C entries through ctypes, with NumPy buffers."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from types import TracebackType
from typing import Any, NoReturn

import numpy as np
from numpy import ndarray
from numpy.typing import NDArray

from astroedge.abi.aligned import address_of, aligned_zeros
from astroedge.abi.layout import E_DEVICE, STOPPED, AstroCall
from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import Manifest
from astroedge.bundle.manifest_check import check_manifest
from astroedge.errors import AstroEdgeError, IncompatibleError
from astroedge.runtimes.library.c_interface import check_description
from astroedge.runtimes.library.gpu import Gpu, GpuStream, choose_device
from astroedge.runtimes.library.native_library import load_library
from astroedge.runtimes.library.processor import check_processor
from astroedge.runtimes.session.call_arguments import as_arrays, check_out, count_ticks
from astroedge.runtimes.session.input_slot import InputSlot, Records, field_view
from astroedge.runtimes.session.presentation import Presenter
from astroedge.runtimes.session.session_errors import (
    refused_by_step,
    too_many_ticks,
    without_name,
    wrong_names,
)
from astroedge.runtimes.session.session_team import BUSY
from astroedge.runtimes.session.stop_signal import stop_on_signal
from astroedge.runtimes.session.stream_memory import GpuMemory, HostMemory, StreamMemory, read_only
from astroedge.runtimes.session.stream_state import StreamState
from astroedge.runtimes.session.team import choose_threads
from astroedge.session import Array, InputValue
from astroedge.step.spec import StepSpec

_NO_FLAG = nullcontext()
COPIED = (
    "A session is one stream in this process's memory and can be neither copied nor pickled; load the bundle again and "
    "take the stream over: other.restore(session.snapshot())."
)


class CompiledSession(StreamState, Presenter):
    """One stream of a bundle's compiled step; see `astroedge.session.Session`.

    Outputs are plain NumPy arrays that outlive the session. The weights are shared by all sessions of the bundle in
    this process and go with the last; the library stays in memory until the process ends. `threads` is how many threads
    compute a tick; the bits do not depend on it. Where a GPU computes, `gpu` says which, and the weights are
    there alone; the bits do not depend on `blocks` either, the size of the grid (0: the bundle's).
    """

    _kept_when_closed = frozenset({"bundle", "threads", "_unavailable"})

    def __init__(
        self,
        bundle: Bundle,
        *,
        trust_weights: bool = False,
        threads: int | None = None,
        device: int | None = None,
        blocks: int = 0,
        beside: CompiledSession | None = None,
    ) -> None:
        """With `beside`, a session of the same bundle on this processor, its library and weights serve this one too."""
        self.bundle, manifest = bundle, bundle.manifest
        self._library = _open_library(bundle) if beside is None else beside._library
        threads, device = choose_threads(manifest, threads), choose_device(manifest, device)
        weights = bundle.weights(trust=trust_weights) if beside is None else beside._weights
        try:
            self._allocate(manifest)
            self._memory = self._open_memory(manifest, weights, device, blocks)
        except (MemoryError, ValueError) as error:  # NumPy has ValueError for what no address reaches
            raise IncompatibleError(
                f"The buffers of the step do not fit into this machine's memory ({error}); compile a smaller model."
            ) from error
        self._bind(manifest)
        super().__init__(self._library, threads, (self._call, self._run_call), on_gpu=manifest.device is not None)
        self.reset()

    @property
    def _weights(self) -> NDArray[np.uint8]:
        assert isinstance(self._memory, HostMemory)
        return self._memory.weights

    def _open_memory(self, manifest: Manifest, weights: NDArray[np.uint8], device: int, blocks: int) -> StreamMemory:
        """Where the stream lies, and with it the weights."""
        if manifest.device is None:
            return HostMemory(manifest, weights)
        return GpuMemory(manifest, GpuStream(self._library, manifest, weights, device, blocks), weights)

    def _allocate(self, manifest: Manifest) -> None:
        """The buffers of the C interface and the views on them."""
        layout = manifest.layout
        self._inputs = aligned_zeros(layout.inputs_size)
        self._outputs = aligned_zeros(layout.outputs_size)
        self._slots = {item.name: InputSlot(item, self._inputs) for item in layout.inputs}
        self._output_views = {item.name: field_view(self._outputs, item) for item in layout.outputs}
        # What `step` goes through at every tick, looked up once.
        self._accepted = tuple((name, slot.dtype, slot.shape, slot.view) for name, slot in self._slots.items())
        self._copies = tuple((name, view.copy) for name, view in self._output_views.items())

    def _bind(self, manifest: Manifest) -> None:
        """The call structures, filled once, and the entries that take them."""
        self._call = AstroCall(
            size=ctypes.sizeof(AstroCall),
            inputs=address_of(self._inputs),
            outputs=address_of(self._outputs),
            **self._memory.buffers,
        )
        self._call_reference = ctypes.byref(self._call)
        self._run_call = AstroCall.from_buffer_copy(self._call)
        self._run_call.output_stride = manifest.layout.outputs_size
        self._run_call_reference = ctypes.byref(self._run_call)
        self._native_step = self._library.astro_step
        self._native_run = self._library.astro_run
        for entry in (self._native_step, self._native_run):
            entry.restype = ctypes.c_int32

    @property
    def spec(self) -> StepSpec:
        """What a tick takes, gives and carries over."""
        return self.bundle.manifest.step

    @property
    def gpu(self) -> Gpu | None:
        """The GPU that computes the ticks; None where this machine's processor does."""
        self._check_available()
        return self._memory.stream.gpu if isinstance(self._memory, GpuMemory) else None

    def step(self, /, *unnamed: object, out: Any = None, **inputs: InputValue) -> dict[str, Array]:
        """One tick; returns the outputs by name.

        Every input is a NumPy array of the shape and dtype in `spec.inputs`, or another library's array of them, such
        as a tensor of PyTorch on the processor, or a list of numbers; those of size 1 take a Python number too.
        The outputs are fresh arrays. With `out`, a dict of arrays by output name, those outputs are copied into the
        arrays given and `out` is returned. (Where an input is itself called "out", that name means the input.)

        Raises InputError for a wrong name, shape, dtype, NaN or an index out of range; the state is then unchanged.
        """
        if self._unavailable:
            self._check_available()
        targets: tuple[tuple[Array, Array], ...] = ()
        in_native_code = False
        try:
            self._unavailable = BUSY
            if unnamed:
                raise without_name("step", list(self._slots))
            if out is not None:
                if "out" in self._slots:
                    inputs["out"], out = out, None
                else:
                    targets = check_out(out, self._output_views)
            if len(inputs) != len(self._accepted):
                raise wrong_names(inputs, list(self._slots))
            for name, dtype, shape, view in self._accepted:
                try:
                    value = inputs[name]
                except KeyError:
                    raise wrong_names(inputs, list(self._slots)) from None
                if type(value) is ndarray and value.dtype is dtype and value.shape == shape:
                    view[...] = value
                else:
                    self._slots[name].write(value)
            in_native_code = True
            status = self._native_step(self._call_reference)
            in_native_code = False
            if status:
                raise self._refusal(status, self._call, self._inputs, None)
            self._ticks += 1  # Python handles signals at calls and jumps back: none since the tick
            if out is None:
                outputs = {}
                for name, copy in self._copies:
                    outputs[name] = copy()
                return outputs
            for target, view in targets:
                target[...] = view
            return out  # type: ignore[no-any-return]
        finally:
            if in_native_code:  # a signal's handler raised after the tick, whose outputs are lost
                self._ticks += self._call.steps_done
            self._unavailable = ""

    def run(self, /, *unnamed: object, steps: Any = None, **inputs: Array) -> dict[str, Array]:
        """As many ticks as the inputs have rows, in one native call; returns the outputs by name.

        Every input has the shape in `spec.inputs` after a leading axis of T ticks, T the same for all, and so have the
        outputs. All ticks are checked before the first. An array that `np.broadcast_to` repeats is not copied, if all
        inputs are ones. `steps` says how many ticks only where a step has no inputs.
        Ctrl-C stops after the tick that is being computed: KeyboardInterrupt is raised and the state is that of the
        ticks done. (In a thread that is not the main one Python delivers no Ctrl-C.)

        Raises InputError as `step` does; the state is then unchanged.
        """
        self._check_available()
        try:
            self._unavailable = BUSY
            if steps is not None and "steps" in self._slots:
                inputs["steps"], steps = steps, None
            if unnamed:
                raise without_name("run", list(self._slots))
            arrays = as_arrays(self._slots, inputs)
            ticks = count_ticks(self._slots, arrays, steps)
            records, results = self._pack(ticks, arrays)
            self._run_records(records, results)
            views, outputs = self._output_views, self.manifest.layout.outputs
            return {item.name: dense(results.field(item, views[item.name])) for item in outputs}
        finally:
            self._unavailable = ""

    def prepare_run(self, ticks: int, inputs: Mapping[str, Array]) -> Callable[[], None]:
        """A call that makes `ticks` ticks in one native call, again at every call, for measuring it.

        What `run` does around the native call is done once and here: `inputs`, arrays `(T, …)` by name with T at least
        `ticks`, are packed, and the outputs stay in memory that every call writes again.
        """
        self._check_available()
        records, results = self._pack(ticks, inputs)
        results.touch()

        def run_again() -> None:
            self._check_available()
            try:
                self._unavailable = BUSY
                self._run_records(records, results)
            finally:
                self._unavailable = ""

        return run_again

    def time_on_gpu(self, /, **inputs: InputValue) -> float:
        """One tick; returns the seconds that the GPU computed, by its own clock, and 0.0 where none computes."""
        self._check_available()
        self._call.timed = 1
        try:
            self.step(**inputs)
        finally:
            self._call.timed = 0
        return float(self._call.device_seconds)

    @property
    def output_bytes(self) -> NDArray[np.uint8]:
        """The outputs buffer of the last `step`, padding included, read only: what a golden trace hashes."""
        self._check_available()
        return read_only(self._outputs.view())

    def close(self) -> None:
        """Let go of threads, buffers and weights; arrays that were given out stay valid. Closing twice does nothing."""
        self._end_team()
        if "_memory" in self.__dict__:
            self._memory.close()
        for name in self.__dict__.keys() - self._kept_when_closed:
            del self.__dict__[name]

    def __repr__(self) -> str:
        """`<Session of lm for native, int8, tick 42>`."""
        if self._unavailable and "_memory" not in self.__dict__:
            return f"<Session of {self.bundle.manifest.model}, closed>"
        manifest = self.manifest
        return f"<Session of {manifest.model} for {manifest.target.name}, {manifest.precision}, tick {self.ticks:,}>"

    def __enter__(self) -> CompiledSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __copy__(self) -> NoReturn:
        raise AstroEdgeError(COPIED)

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise AstroEdgeError(COPIED)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise AstroEdgeError(COPIED)

    def _output_record(self) -> int:
        return self.manifest.layout.outputs_size

    def _pack(self, ticks: int, inputs: Mapping[str, Array]) -> tuple[Records, Records]:
        """The inputs of a run as the records that `astro_run` takes, and room for its outputs."""
        layout = self.manifest.layout
        alike = ticks > 0 and all(array.strides[0] == 0 for array in inputs.values())
        try:
            records = Records(layout.inputs_size, 1 if alike else ticks)
            results = Records(layout.outputs_size, ticks)
        except (MemoryError, ValueError, OverflowError) as error:
            raise too_many_ticks(ticks, layout) from error
        for name, slot in self._slots.items():
            records.field(slot.field, slot.view)[...] = inputs[name][: records.ticks]
        return records, results

    def _run_records(self, records: Records, results: Records) -> None:
        """`astro_run` over packed records, going on after signals whose handlers raise nothing.

        A single record of inputs is that of all ticks.
        """
        call, ticks, done, started = self._run_call, results.ticks, 0, False
        call.input_stride = records.size if records.ticks > 1 else 0
        # One tick cannot be stopped in its middle, so it needs no flag.
        with stop_on_signal() if ticks > 1 else _NO_FLAG as flag:
            while True:
                call.stop = None if flag is None else flag.address  # a fork in a handler gives it another address
                call.inputs = records.address + done * call.input_stride
                call.outputs = results.address + done * results.size
                # After the first call all are checked, and a signal that comes often must not have them checked again.
                call.steps, call.steps_done, call.steps_checked = ticks - done, 0, ticks if started else 0
                try:
                    status = self._native_run(self._run_call_reference)
                finally:
                    self._ticks += call.steps_done
                done, started = done + call.steps_done, True
                if status != STOPPED or flag is None:
                    break
                flag.clear()
        if status:
            bad = done + call.bad_step
            raise self._refusal(status, call, records.record(min(bad, records.ticks - 1)), bad)

    def _refusal(self, status: int, call: AstroCall, record: NDArray[np.uint8], tick: int | None) -> AstroEdgeError:
        """The error that a negative status is; arguments as of `refused_by_step`."""
        if status <= E_DEVICE and isinstance(self._memory, GpuMemory):
            return self._memory.stream.failure(status)
        return refused_by_step(status, call, self.manifest.layout, record, tick)


def _open_library(bundle: Bundle) -> ctypes.CDLL:
    """The bundle's library, compared with its manifest, on a processor that it is for."""
    check_manifest(bundle.manifest)
    content = bundle.library()
    check_processor(bundle.manifest.target)
    library = load_library(content)
    check_description(library, bundle.manifest, bundle.linked_digest)
    return library


def dense(array: Array) -> Array:
    """An array of its own without gaps, so that it does not keep the other outputs' memory."""
    return array.copy() if array.base is not None and not array.flags.c_contiguous else array
