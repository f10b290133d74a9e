from __future__ import annotations

import io
import os
import pty
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from astroedge.errors import InputError
from astroedge.serial_line import parse_serial
from astroedge.step.spec import TensorSpec
from astroedge.workflows.live.sources import Source, open_source

PAIR = [TensorSpec("a", (1, 2), "float32")]


@pytest.fixture
def line() -> Iterator[tuple[int, str]]:
    """The end of a serial line that a device writes to, and the name of the other end."""
    device, other = pty.openpty()
    yield device, os.ttyname(other)
    os.close(device)
    os.close(other)


def test_lines_are_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input has one tick a line, and its end is theirs."""
    monkeypatch.setattr("sys.stdin", io.StringIO("1,2\n3,4\n"))
    with open_source("stdin", PAIR, None) as source:
        assert taken(source) == [[[1, 2]], [[3, 4]]]


def test_newest_line_counts_where_there_is_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes faster than it is taken is skipped, what was taken comes again, and an error is the taker's."""
    reader, writer = os.pipe()
    monkeypatch.setattr("sys.stdin", os.fdopen(reader))
    with open_source("stdin", PAIR, 100.0) as source:
        os.write(writer, b"1,2\n3,4\n5,6\n")
        _take_until(source, [[5, 6]])
        assert taken(source, 2) == [[[5, 6]], [[5, 6]]]
        assert source.repeated() >= 2
        os.write(writer, b"7,8\nhello,1\n")
        os.close(writer)
        with pytest.raises(InputError, match="line 5"):
            _take_until(source, None)


def test_last_line_is_taken_though_the_source_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """However late a tick is taken, the newest of a source that has ended comes once, and then the end."""
    monkeypatch.setattr("sys.stdin", io.StringIO("1,2\n3,4\n"))
    with open_source("stdin", PAIR, 10.0) as source:
        time.sleep(0.05)
        assert taken(source) == [[[3, 4]]]


def test_whoever_waits_for_the_first_tick_gives_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sensor that is silent at first is waited for, and the watchdog hears of it."""
    reader, writer = os.pipe()
    monkeypatch.setattr("sys.stdin", os.fdopen(reader))
    signs: list[bool] = []
    with open_source("stdin", PAIR, 100.0) as source:

        def waiting() -> None:
            signs.append(True)
            os.write(writer, b"1,2\n")

        tick = source.take(waiting)
        assert tick is not None
        assert tick["a"].tolist() == [[1, 2]]
        os.close(writer)
    assert signs


def taken(source: Source, count: int | None = None) -> list[object]:
    """So many ticks of a source, or all to its end."""
    ticks = iter(lambda: source.take(lambda: None), None)
    return [tick["a"].tolist() for tick in islice(ticks, count)]


def _take_until(source: Source, value: object) -> None:
    """Take ticks, one a millisecond, until one is `value`."""
    for _ in range(5000):
        if taken(source, 1) == [value]:
            return
        time.sleep(0.001)
    raise AssertionError(f"{value} never came")


def test_serial_line_is_read_from_its_first_whole_line(line: tuple[int, str]) -> None:
    """What a device was in the middle of when it was first listened to is no tick."""
    device, name = line
    with open_source(f"serial:{name}:9600", PAIR, None) as source:
        os.write(device, b"9,\n1,2\r\n3,")
        os.write(device, b"4\n")
        assert taken(source, 2) == [[[1, 2]], [[3, 4]]]


def test_sound_comes_in_frames_from_arecord(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """arecord is asked for as many samples a second as ticks need, and its end and its failure are told."""
    recorder = tmp_path / "arecord"
    samples = np.array([0, 16384, -32768, 32767], "<i2").tobytes()
    (tmp_path / "samples").write_bytes(samples)
    recorder.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ncat {tmp_path}/samples\nexit 3\n')
    recorder.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found: list[object] = []
    with pytest.raises(InputError, match="exit code 3"), open_source("mic:hw:1", PAIR, 8000) as source:
        found += [source.is_clock, *taken(source)]
    assert found == [True, [[0, 0.5]], [[-1, 32767 / 32768]]]
    asked = (tmp_path / "asked").read_text().split()
    assert {"--rate=16000", "--format=S16_LE", "--channels=1", "--device=hw:1"} <= set(asked)


def test_recording_is_played_in_frames(tmp_path: Path) -> None:
    """Each tick has the events of its period."""
    (tmp_path / "a.bin").write_bytes(bytes([1, 0, 0x80, 0, 0, 0, 1, 0x80, 7, 0xD0]))
    spec = TensorSpec("a", (1, 2, 2), "float32")
    with open_source(f"events:{tmp_path}/a.bin", [spec], 1000) as source:
        assert taken(source) == [[[[0, 1], [0, 0]]], [[[0, 0], [0, 0]]], [[[0, 0], [1, 0]]]]


@pytest.mark.parametrize(
    ("text", "specs", "rate", "message"),
    [
        ("camera", PAIR, None, "is no source"),
        ("stdin:x", PAIR, None, "is no source"),
        ("mic", PAIR, None, "needs --rate"),
        ("mic", PAIR, 1.0, "2 samples a second"),
        ("mic", [TensorSpec("a", (1,), "int64")], 16000.0, "takes no sound"),
        ("mic", [*PAIR, *PAIR], 16000.0, "2"),
        ("events:x.bin", PAIR, None, "--rate|No such file"),
        ("serial::9600", PAIR, None, "is no serial line"),
        ("serial:/dev/nobody:9600", PAIR, None, "No such file"),
    ],
)
def test_source_that_does_not_fit_is_refused(
    text: str, specs: list[TensorSpec], rate: float | None, message: str
) -> None:
    """Each says what it needs."""
    with pytest.raises((InputError, OSError), match=message), open_source(text, specs, rate):
        pass


def test_speed_of_a_line_may_be_left_out() -> None:
    """A path alone has the usual speed."""
    assert parse_serial("/dev/ttyUSB0") == ("/dev/ttyUSB0", 115_200)
    assert parse_serial("/dev/ttyUSB0:9600") == ("/dev/ttyUSB0", 9600)
    by_path = "/dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0-port0"
    assert parse_serial(by_path) == (by_path, 115_200)
