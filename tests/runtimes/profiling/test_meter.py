"""External meters: what a file and a serial line may hold, and what is said of anything else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from time import perf_counter, sleep, time

import pytest

from astroedge.errors import InputError
from astroedge.runtimes.profiling.meter import MeterFile, SerialMeter, open_meter
from astroedge.runtimes.profiling.power_sources import PowerSample


def read_file(path: Path) -> list[PowerSample]:
    """The samples of a meter's file that is over."""
    stop, samples = Event(), list[PowerSample]()
    stop.set()
    MeterFile(str(path), patience=0.0).collect(stop, samples)
    return samples


@pytest.mark.parametrize(
    ("text", "watts"),
    [
        ("time,watts\n{0},1.5\n{1},2.5\n", [1.5, 2.5]),
        ("{0},1.5\n{1},2.5\n", [1.5, 2.5]),
        ("Time, Volts, Amps\r\n{0}, 5.0, 0.5\r\n\r\n{1}, 5.0, 0.6\r\n", [2.5, 3.0]),
        ("\ufefftime,watts\n{1},2.5\n{0},1.5\n", [1.5, 2.5]),
        ("{0},1.5\n{1},2.5\n{1},9", [1.5, 2.5]),
    ],
    ids=["header", "plain", "volts-amps", "mark-and-order", "half-written"],
)
def test_rows_are_read_by_their_time(tmp_path: Path, text: str, watts: list[float]) -> None:
    """Two rows a second apart, the first now, with or without a header; a row that is not whole yet is left."""
    now = time()
    (tmp_path / "power.csv").write_text(text.format(now, now + 1), newline="")
    samples = read_file(tmp_path / "power.csv")
    assert [sample.watts for sample in samples] == watts
    assert samples[1].start - samples[0].start == pytest.approx(1.0, abs=1e-3)


def test_times_may_be_iso_8601(tmp_path: Path) -> None:
    """With a zone, and Z for UTC; an hour apart in zones is no time apart."""
    (tmp_path / "power.csv").write_text("2026-01-01T00:00:00Z,1\n2026-01-01T01:00:01+01:00,2\n")
    first, second = read_file(tmp_path / "power.csv")
    assert second.start - first.start == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("row", ["12:00,1", "1.0", "1.0,one", "1.0,1,2,3", "1.0,nan", "watts,time"])
def test_other_rows_are_refused_by_their_number(tmp_path: Path, row: str) -> None:
    """A row that is no reading is named when the meter is opened, before anything is measured."""
    (tmp_path / "power.csv").write_text(f"1.0,1\n{row}\n")
    with pytest.raises(InputError, match="row 2"):
        open_meter(str(tmp_path / "power.csv"))


def test_a_meter_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    """A missing file, a folder, a missing line and a file that is no line."""
    (tmp_path / "file").write_text("")
    for name in (f"{tmp_path}/none.csv", str(tmp_path), f"serial:{tmp_path}/none", f"serial:{tmp_path}/file"):
        with pytest.raises(OSError, match=str(tmp_path)):
            open_meter(name)


@pytest.mark.parametrize("name", ["serial:", "serial::9600", "serial:/dev/null:12345"])
def test_names_and_speeds_that_cannot_be_are_refused(name: str) -> None:
    """Before anything is opened."""
    with pytest.raises(InputError, match=r"baud|serial line"):
        open_meter(name)


@contextmanager
def serial_line(baud: str = "") -> Iterator[tuple[int, SerialMeter]]:
    """A line's far end and a meter that listens on it."""
    far, near = os.openpty()
    meter = open_meter(f"serial:{os.ttyname(near)}{baud}")
    assert isinstance(meter, SerialMeter)
    try:
        yield far, meter
    finally:
        meter.close()
        os.close(near)
        os.close(far)


def test_lines_of_a_serial_meter_are_readings_of_their_arrival() -> None:
    """Watts, volts and amps between any of the separators; pieces are joined, what is no reading is passed over."""
    with serial_line(":9600") as (far, meter):
        stop, samples = Event(), list[PowerSample]()
        thread = Thread(target=meter.collect, args=(stop, samples))
        begin = perf_counter()
        thread.start()
        sent = 0
        while not samples and sent < 3000:  # what comes before the meter listens is dropped
            os.write(far, b"2.5\r\n")
            sent += 1
            sleep(0.01)
        before = len(samples)
        os.write(far, b"hello\n5.0, 0.5\n4;0.25\n")
        os.write(far, b"3.")
        sleep(0.02)
        os.write(far, b"5\n1.0 2.0 3.0\n")
        for _ in range(3000):
            if samples and samples[-1].watts == 3.5:
                break
            sleep(0.01)
        stop.set()
        thread.join()
    watts = [sample.watts for sample in samples]
    assert before >= 1
    assert watts[-3:] == [2.5, 1.0, 3.5]
    assert set(watts[:-3]) == {2.5}
    assert begin <= samples[0].start <= samples[-1].start <= perf_counter()


def test_a_line_that_never_has_a_reading_is_told() -> None:
    """After some lines of something else the meter is given up with what it sent."""
    with serial_line() as (far, meter):
        raised: list[Exception] = []

        def collect() -> None:
            try:
                meter.collect(Event(), [])
            except InputError as error:
                raised.append(error)

        thread = Thread(target=collect)
        thread.start()
        for _ in range(3000):
            os.write(far, b"~#~\n")
            thread.join(0.01)
            if not thread.is_alive():
                break
        assert "'~#~'" in str(raised[0])
