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
from astroedge.workflows.live.sources import open_source

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
    with open_source("stdin", PAIR, None) as ticks:
        assert [tick["a"].tolist() for tick in ticks] == [[[1, 2]], [[3, 4]]]


def test_newest_line_counts_where_there_is_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes faster than it is taken is skipped, what was taken comes again, and an error is the taker's."""
    with open("/dev/null") as nothing:
        reader, writer = os.pipe()
        monkeypatch.setattr("sys.stdin", os.fdopen(reader))
        with open_source("stdin", PAIR, 100.0) as ticks:
            os.write(writer, b"1,2\n3,4\n5,6\n")
            taken = _take_until(ticks, [[5, 6]])
            assert len(taken) <= 3 or taken[-2] != taken[-1]
            assert next(ticks)["a"].tolist() == [[5, 6]]
            os.write(writer, b"hello,1\n")
            os.close(writer)
            with pytest.raises(InputError, match="line 4"):
                _take_until(ticks, None)
        assert nothing.readable()


def _take_until(ticks: Iterator[dict[str, np.ndarray]], value: object) -> list[object]:
    """The ticks that are taken, one a millisecond, until one is `value`."""
    taken = []
    for tick in islice(ticks, 5000):
        taken.append(tick["a"].tolist())
        if taken[-1] == value:
            return taken
        time.sleep(0.001)
    raise AssertionError(f"{value} never came: {taken[-3:]}")


def test_serial_line_is_read_from_its_first_whole_line(line: tuple[int, str]) -> None:
    """What a device was in the middle of when it was first listened to is no tick."""
    device, name = line
    with open_source(f"serial:{name}:9600", PAIR, None) as ticks:
        os.write(device, b"9,\n1,2\r\n3,")
        os.write(device, b"4\n")
        assert [tick["a"].tolist() for tick in islice(ticks, 2)] == [[[1, 2]], [[3, 4]]]


def test_sound_comes_in_frames_from_arecord(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """arecord is asked for as many samples a second as ticks need, and its end and its failure are told."""
    recorder = tmp_path / "arecord"
    samples = np.array([0, 16384, -32768, 32767], "<i2").tobytes()
    (tmp_path / "samples").write_bytes(samples)
    recorder.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ncat {tmp_path}/samples\nexit 3\n')
    recorder.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(InputError, match="exit code 3"), open_source("mic:hw:1", PAIR, 8000) as ticks:
        assert [tick["a"].tolist() for tick in ticks] == [[[0, 0.5]], [[-1, 32767 / 32768]]]
    asked = (tmp_path / "asked").read_text().split()
    assert {"--rate=16000", "--format=S16_LE", "--channels=1", "--device=hw:1"} <= set(asked)


def test_recording_is_played_in_frames(tmp_path: Path) -> None:
    """Each tick has the events of its period."""
    (tmp_path / "a.bin").write_bytes(bytes([1, 0, 0x80, 0, 0, 0, 1, 0x80, 7, 0xD0]))
    spec = TensorSpec("x", (1, 2, 2), "float32")
    with open_source(f"events:{tmp_path}/a.bin", [spec], 1000) as ticks:
        assert [tick["x"].tolist() for tick in ticks] == [[[[0, 1], [0, 0]]], [[[0, 0], [0, 0]]], [[[0, 0], [1, 0]]]]


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
        ("serial:/dev/tty:fast", PAIR, None, "is no serial line"),
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
