"""Where live data comes from: lines of numbers, a serial line, a microphone, a recording of events."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Condition, Thread

import numpy as np

from astroedge.errors import InputError
from astroedge.serial_line import open_serial, parse_serial
from astroedge.session import Array
from astroedge.step.spec import TensorSpec
from astroedge.workflows.inputs.array_files import read_csv
from astroedge.workflows.inputs.event_files import frames, read_events

Tick = dict[str, Array]
KINDS = "stdin, serial:/dev/ttyUSB0[:BAUD], mic[:DEVICE] or events:FILE"


@contextmanager
def open_source(text: str, specs: Sequence[TensorSpec], rate: float | None) -> Iterator[Iterator[Tick]]:
    """The ticks of what `text` names (see `KINDS`), as they come.

    Lines are CSV, one a tick. `rate` is the ticks a second; a microphone gives `rate × size` samples a second of the
    step's only input, from −1 to 1, and a recording a frame of events for each period.

    Raises InputError for another source, or one that the step's inputs do not fit; OSError for what cannot be opened.
    """
    kind, _, place = text.partition(":")
    if kind == "stdin" and not place:
        yield _newest(read_csv(sys.stdin, specs, "standard input"), rate)
    elif kind == "serial" and place:
        path, baud = parse_serial(place)
        line = open_serial(path, baud)
        try:
            yield _newest(read_csv(_lines(line, path), specs, path), rate)
        finally:
            os.close(line)
    elif kind == "mic":
        with _microphone(place, specs, rate) as ticks:
            yield ticks
    elif kind == "events" and place:
        spec = _only(specs, "A recording")
        yield ({spec.name: frame} for frame in frames(read_events(place), spec, 1 / _needed(rate, kind), place))
    else:
        raise InputError(f"{text!r} is no source; it is {KINDS}.")


def _needed(rate: float | None, kind: str) -> float:
    if rate is None:
        raise InputError(f"--source {kind} needs --rate: the ticks a second.")
    return rate


def _only(specs: Sequence[TensorSpec], what: str) -> TensorSpec:
    if len(specs) != 1:
        raise InputError(f"{what} is one input and the step has {len(specs)}; feed it lines from a program (stdin).")
    return specs[0]


def _lines(line: int, name: str) -> Iterator[str]:
    """Lines from a serial line as they come; the first one may have begun before it was listened to and is dropped."""
    waiting, is_whole = b"", False
    while True:
        select.select([line], [], [])
        content = os.read(line, 4096)
        if not content:
            raise InputError(f"{name} hung up.")
        *lines, waiting = (waiting + content).split(b"\n")
        for text in lines:
            if is_whole and text.strip():
                yield text.decode("ascii", errors="replace")
            is_whole = True


def _newest(ticks: Iterator[Tick], rate: float | None) -> Iterator[Tick]:
    """Every tick as it comes, or at a rate the newest that is there: a sensor that is faster or slower is no error."""
    return ticks if rate is None else iter(_Newest(ticks).take, None)


class _Newest:
    """The newest tick of a source that is read in a thread of its own."""

    def __init__(self, ticks: Iterator[Tick]) -> None:
        self._changed = Condition()
        self._tick: Tick | None = None
        self._error: BaseException | None = None
        self._is_over = False
        Thread(target=self._read, args=(ticks,), daemon=True).start()

    def take(self) -> Tick | None:
        """The newest tick, the same again where no other came; waits for the first. None once the source is at its end.

        Raises what reading the source raised.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._tick is not None or self._is_over)
            if self._error is not None:
                raise self._error
            return None if self._is_over else self._tick

    def _read(self, ticks: Iterator[Tick]) -> None:
        try:
            for tick in ticks:
                self._set(tick)
        except BaseException as error:  # it belongs to whoever takes ticks
            self._error = error
        self._is_over = True
        self._set(self._tick)

    def _set(self, tick: Tick | None) -> None:
        with self._changed:
            self._tick = tick
            self._changed.notify()


@contextmanager
def _microphone(device: str, specs: Sequence[TensorSpec], rate: float | None) -> Iterator[Iterator[Tick]]:
    """Frames of samples through ALSA's `arecord`, which knows every sound card of the system."""
    spec = _only(specs, "A microphone")
    samples = _needed(rate, "mic") * spec.size
    if not spec.dtype.startswith("float") or samples != int(samples) or not 1000 <= samples <= 192_000:
        raise InputError(
            f"The input {spec.name!r}, {spec.dtype}{list(spec.shape)}, takes no sound at {rate:g} ticks a second, "
            f"which would be {samples:g} samples a second."
        )
    program = shutil.which("arecord")
    if program is None:
        raise InputError("A microphone is read by arecord, which is not installed: apt install alsa-utils.")
    command = [program, "--quiet", "--file-type=raw", "--format=S16_LE", "--channels=1", f"--rate={int(samples)}"]
    command += [f"--device={device}"] if device else []
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as recorder:
        assert recorder.stdout is not None
        try:
            yield _frames_of_sound(recorder.stdout.read, spec)
            if recorder.wait():
                raise InputError(f"arecord ended with exit code {recorder.returncode}; its message stands above.")
        finally:
            recorder.kill()


def _frames_of_sound(read: Callable[[int], bytes], spec: TensorSpec) -> Iterator[Tick]:
    while len(content := read(2 * spec.size)) == 2 * spec.size:
        samples = np.frombuffer(content, "<i2") / np.float32(32768)
        yield {spec.name: samples.astype(spec.dtype).reshape(spec.shape)}
