"""Steps that a board's Python makes when told: all is loaded before, so that a meter here sees the steps alone."""

from __future__ import annotations

from collections.abc import Mapping
from queue import Queue
from threading import Event, Thread
from typing import IO, Any

from astroedge.workflows.devices.connection import Connection
from astroedge.workflows.devices.python_there import not_an_answer, python_ended, python_words, read_record

MOST_SAID = 1 << 16  # bytes


class StepsThere:
    """A board that is ready to step: inside `with`, `spend` has it do so once."""

    def __init__(self, connection: Connection, request: Mapping[str, Any], data: bytes) -> None:
        """`request` is one of `runtimes/remote/spend`, `data` the inputs as a NumPy file, empty for drawn ones."""
        self._connection, self._data = connection, data
        self._words = python_words({"do": "spend", "size": len(data), **request})
        self._lines: Queue[bytes | None] = Queue()
        self._told, self._seconds = Event(), 0.0
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._work, daemon=True)

    def __enter__(self) -> StepsThere:
        """Have the bundle loaded there; raises the board's error, and DeviceError where its Python fails."""
        self._thread.start()
        try:
            self._next("ready")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        """Have it end, and wait for that."""
        self._told.set()
        self._thread.join()

    def spend(self, seconds: float) -> int:
        """Step for so many seconds; returns how many steps that were. Raises what entering raises."""
        self._seconds = seconds
        self._told.set()
        steps = self._next("steps")
        if not isinstance(steps, int) or steps < 1:
            raise not_an_answer(self._connection.address.text, "its steps are no number of steps")
        return steps

    def _next(self, name: str) -> Any:
        """What the board says next, which is called `name`."""
        device = self._connection.address.text
        line = self._lines.get()
        if line is None:
            raise self._failure or not_an_answer(device, "it ended before it said what was asked")
        record = read_record(device, line)
        if name not in record:
            raise not_an_answer(device, f"it does not say {name!r}")
        return record[name]

    def _work(self) -> None:
        try:
            answer = self._connection.work("start", *self._words, data=self._feed, limit=MOST_SAID, heard=self._hear)
            if answer.code:
                self._failure = python_ended(self._connection.address.text, answer)
        except BaseException as error:  # raised again in the thread that waits for a line
            self._failure = error
        finally:
            self._lines.put(None)

    def _hear(self, line: bytes) -> None:
        if line:
            self._lines.put(line)
        else:
            self._told.set()  # what has ended waits for nothing

    def _feed(self, pipe: IO[bytes]) -> None:
        """The inputs, then, once it is time, for how long to step: an end without that is the end."""
        pipe.write(self._data)
        pipe.flush()
        self._told.wait()
        if self._seconds:
            pipe.write(f"{self._seconds!r}\n".encode())
