from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from astroedge.errors import InputError, MissingDependencyError
from astroedge.step.spec import TensorSpec
from astroedge.workflows.inputs.array_files import read_arrays
from astroedge.workflows.inputs.event_files import Events, frames, read_events
from astroedge.workflows.inputs.fit_arrays import Fit

# time in µs, x, y, ON
EVENTS = [(1000, 3, 1, 1), (1000, 3, 1, 1), (1500, 0, 0, 0), (3999, 4, 2, 1), (8_388_000, 1, 1, 0)]


def bin_bytes() -> bytes:
    """The events as N-MNIST has them."""
    return b"".join(bytes([x, y, on << 7 | t >> 16, t >> 8 & 255, t & 255]) for t, x, y, on in EVENTS)


def dat_bytes() -> bytes:
    """The events as Prophesee has them, in another order than that of time."""
    body = b"".join(np.array([t, x | y << 14 | on << 28], "<u4").tobytes() for t, x, y, on in reversed(EVENTS))
    return b"% Version 2\n% Width 5\n" + bytes([12, 8]) + body


@pytest.mark.parametrize(("name", "content"), [("a.bin", bin_bytes()), ("a.DAT", dat_bytes())])
def test_recording_is_read_in_the_order_of_time(tmp_path: Path, name: str, content: bytes) -> None:
    """Both formats give the same events, whose times count from the first."""
    (tmp_path / name).write_bytes(content)
    events = read_events(tmp_path / name)
    assert events.time.tolist() == [0, 0, 500, 2999, 8_387_000]
    rows = zip(events.x.tolist(), events.y.tolist(), events.on.tolist(), strict=True)
    assert sorted(rows) == sorted((x, y, bool(on)) for _, x, y, on in EVENTS)


def made(times: list[int], x: int = 0, y: int = 0, on: bool = True) -> Events:
    """Events of one pixel."""
    ones = np.ones(len(times), np.int64)
    return Events(np.array(times), ones * x, ones * y, ones.astype(bool) & on)


@pytest.mark.parametrize("shape", [(3, 5), (1, 3, 5), (1, 1, 3, 5), (1, 2, 3, 5)])
def test_frame_counts_events_by_pixel_and_polarity(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """A frame holds the events of its period, OFF before ON where the input tells them apart; silence is one too."""
    (tmp_path / "a.bin").write_bytes(bin_bytes())
    events = read_events(tmp_path / "a.bin")
    every = np.stack([*frames(events, TensorSpec("x", shape, "float32"), 0.001, "a.bin")])
    assert every.shape == (8388, *shape)
    assert every.sum() == len(EVENTS)
    first = every[0].reshape(-1, 3, 5)
    assert first[-1, 1, 3] == 2
    assert first[0, 0, 0] == 1
    assert every[2].reshape(-1, 3, 5)[-1, 2, 4] == 1
    assert not every[3:8387].any()


def test_boolean_frames_say_whether_there_was_an_event(tmp_path: Path) -> None:
    """Two events of a pixel in one frame are one spike, and a number that cannot hold its count is an error."""
    (frame,) = frames(made([0, 1, 2]), TensorSpec("x", (1, 1), "bool"), 1.0, "a")
    assert frame.tolist() == [[True]]
    with pytest.raises(InputError, match="300 events in a frame, which uint8 does not hold"):
        [*frames(made([0] * 300), TensorSpec("x", (1, 1), "uint8"), 1.0, "a")]


@pytest.mark.parametrize(
    ("shape", "message"),
    [((3, 3, 5), "takes no frames"), ((15,), "takes no frames"), ((4, 2, 3, 5), "takes no frames"), ((2, 5), "2 rows")],
)
def test_input_that_is_no_frame_is_refused(shape: tuple[int, ...], message: str) -> None:
    """Shapes that hold no frame, and frames too small for the recording, are named."""
    with pytest.raises(InputError, match=message):
        next(frames(made([0], x=4, y=2), TensorSpec("x", shape, "float32"), 1.0, "a.bin"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.bin", b"", "no event"),
        ("a.bin", bytes(7), "not 5 an event"),
        ("a.dat", b"% no end", "no end"),
        ("a.dat", b"% Version\n" + bytes([12, 7]) + bytes(14), "8 bytes an event"),
        ("a.dat", dat_bytes()[:-1], "8 bytes an event"),
        ("a.dat", b"% Version\n", "8 bytes an event"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    """Each is one line that names the file."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_events(tmp_path / name)


def test_package_for_aedat4_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the extra to install is said; with it what is no recording is one line."""
    (tmp_path / "a.aedat4").write_bytes(b"#!AML-DV4.0\r\n")
    monkeypatch.setitem(sys.modules, "aedat", None)
    with pytest.raises(MissingDependencyError, match=r"astroedge\[events\]"):
        read_events(tmp_path / "a.aedat4")
    monkeypatch.delitem(sys.modules, "aedat")
    pytest.importorskip("aedat")
    with pytest.raises(InputError, match=r"is no \.aedat4 recording|holds no event"):
        read_events(tmp_path / "a.aedat4")


def test_recording_is_an_input_like_any_other_file(tmp_path: Path) -> None:
    """At a rate it is one array of frames; without one, or for several inputs, that is said."""
    (tmp_path / "a.bin").write_bytes(bin_bytes())
    spec = TensorSpec("x", (1, 2, 3, 5), "float32")
    assert read_arrays(tmp_path / "a.bin", [spec], Fit(rate=10))["x"].shape == (84, 1, 2, 3, 5)
    with pytest.raises(InputError, match="--rate"):
        read_arrays(tmp_path / "a.bin", [spec])
    with pytest.raises(InputError, match="2 inputs"):
        read_arrays(tmp_path / "a.bin", [spec, spec], Fit(rate=10))
