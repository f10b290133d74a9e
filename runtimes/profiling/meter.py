"""An external meter's readings: a CSV file that another program writes, or a serial line.

`FILE` is CSV, `time,watts` or `time,volts,amps`, with or without such a header; time is in Unix seconds or ISO 8601
(without a zone: local time). It is read when the steps are over, and its rows are matched by their time, so its clock
has to be this machine's. `serial:/dev/ttyUSB0[:baud]` has one reading a line, watts or volts and amps, between commas,
semicolons or blanks; its time is that of its arrival.
"""

from __future__ import annotations

import os
import re
import select
from collections.abc import Sequence
from datetime import datetime
from threading import Event
from time import perf_counter, sleep, time

from astroedge.errors import InputError
from astroedge.regular_file import open_regular
from astroedge.runtimes.profiling.power_sources import PowerSample, PowerSource
from astroedge.serial_line import BAUD, open_serial, parse_serial

SERIAL = "serial:"
HEADERS = (("time", "watts"), ("time", "volts", "amps"))
PATIENCE = 5.0  # seconds that a file's last row may come late
REFUSED = 10  # lines without a reading, before the speed is doubted
PROTOCOL = "a line is watts, or volts and amps"
BETWEEN = re.compile(r"[,;\s]+")


def open_meter(name: str) -> PowerSource:
    """The meter that a user names, ready to be read.

    Raises InputError for one that cannot be, and OSError for a file or line that cannot be opened.
    """
    if not name.startswith(SERIAL):
        return MeterFile(name)
    return SerialMeter(*parse_serial(name.removeprefix(SERIAL)))


class MeterFile(PowerSource):
    """Readings in a CSV file, which grows while it is measured or holds them already when it is read."""

    def __init__(self, path: str, patience: float = PATIENCE) -> None:
        """Raises OSError for a file that cannot be opened, InputError for one that holds something else."""
        self._path, self._patience = path, patience
        self._read()
        self.sensor = f"external meter, {os.path.basename(path)}"

    def collect(self, stop: Event, samples: list[PowerSample]) -> None:
        """Wait for the end, and then a little for rows that are written late."""
        stop.wait()
        end, offset = time(), perf_counter() - time()
        give_up = perf_counter() + self._patience
        while True:
            rows = self._read()
            if (rows and rows[-1][0] >= end) or perf_counter() >= give_up:
                break
            sleep(0.1)
        samples += [PowerSample(at + offset, at + offset, watts) for at, watts in rows]

    def _read(self) -> list[tuple[float, float]]:
        """Unix time and watts of every whole row, in the order of time."""
        with open_regular(self._path) as file:
            text = file.read().decode("utf-8-sig", errors="replace")
        lines = text[: text.rfind("\n") + 1].splitlines()  # the last row may be half written
        if lines and tuple(cell.strip().lower() for cell in lines[0].split(",")) in HEADERS:
            lines[0] = ""
        return sorted(self._row(number, line) for number, line in enumerate(lines, 1) if line.strip())

    def _row(self, number: int, line: str) -> tuple[float, float]:
        at, *numbers = line.split(",")
        try:
            return _time(at.strip()), _watts(numbers)
        except ValueError as error:
            raise InputError(
                f"{self._path}, row {number}: {line.strip()[:60]!r} is no reading; a row is time,watts or "
                "time,volts,amps, with time in Unix seconds or ISO 8601."
            ) from error


class SerialMeter(PowerSource):
    """Readings that arrive on a serial line."""

    def __init__(self, path: str, baud: int = BAUD) -> None:
        """Open the line; raises InputError for a speed it lacks, OSError for what cannot be opened or is no line."""
        self._line = open_serial(path, baud)
        self.sensor = f"external meter, {path}"

    def collect(self, stop: Event, samples: list[PowerSample]) -> None:
        """Read lines as they come; the first may have begun before it was listened to."""
        import termios

        termios.tcflush(self._line, termios.TCIFLUSH)
        waiting, refused = b"", 0
        while not stop.is_set():
            if not select.select([self._line], [], [], 0.05)[0]:
                continue
            content = os.read(self._line, 4096)
            if not content:
                raise InputError(f"{self.sensor} hung up.")
            *lines, waiting = (waiting + content).split(b"\n")
            now = perf_counter()
            for line in filter(None, map(bytes.strip, lines)):
                watts = _line_watts(line)
                if watts is not None:
                    samples.append(PowerSample(now, now, watts))
                    continue
                refused += 1
                if refused > REFUSED > len(samples):
                    text = line[:40].decode("ascii", errors="replace")
                    raise InputError(f"{self.sensor} sends {text!r}, and {PROTOCOL}; is the speed right?")

    def close(self) -> None:
        """Close the line."""
        os.close(self._line)


def _line_watts(line: bytes) -> float | None:
    """Power from a line of the serial protocol; None where it is none."""
    try:
        return _watts(BETWEEN.split(line.decode("ascii").strip(",; ")))
    except ValueError:
        return None


def _watts(words: Sequence[str]) -> float:
    """Power from watts, or volts and amps; raises ValueError for anything else."""
    numbers = [float(word) for word in words]
    if len(numbers) not in (1, 2):
        raise ValueError(f"{len(numbers)} numbers")
    watts = numbers[0] if len(numbers) == 1 else numbers[0] * numbers[1]
    if not abs(watts) < 1e6:
        raise ValueError("not a power")
    return watts


def _time(text: str) -> float:
    """Unix seconds from a number or ISO 8601; raises ValueError for anything else."""
    try:
        return float(text)
    except ValueError:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
