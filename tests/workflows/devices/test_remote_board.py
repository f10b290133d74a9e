from __future__ import annotations

import pytest

from astroedge.errors import DeviceError
from astroedge.workflows.devices.remote_board import RemotePython, describe_board
from tests.support.arm_board import CPUINFO, MODEL

PI = {
    "system": "Linux\n6.12.25",
    "machine": "aarch64\n",
    "bits": "   2\n",
    "cpuinfo": CPUINFO,
    "meminfo": "MemTotal:        3884000 kB\n",
    "model": f"{MODEL}\n",
    "libc": "glibc 2.36\n",
    "home": "/home/pi\n",
    "python": "3.11.2 64\nnumpy 1.26.4\nastroedge -\n",
}


def test_a_raspberry_pi_is_recognised_by_its_texts() -> None:
    """The device tree's name chooses the board file; memory, C library and Python come with it."""
    board = describe_board(PI, "pi")
    assert (board.name, board.target.name, board.is_known) == (MODEL, "raspberry-pi-4", True)
    assert (board.memory_bytes, board.libc, board.home) == (3884000 * 1024, "glibc 2.36", "/home/pi")
    assert board.python == RemotePython("3.11.2", 64, "1.26.4", "")
    assert board.python.lack == ""


def test_an_unknown_board_gets_the_nearest_target() -> None:
    """Without a board file the processor's generic target is taken, and that is known."""
    board = describe_board({**PI, "model": "Plum Pi 9"}, "pi")
    assert (board.name, board.target.name, board.is_known) == ("Plum Pi 9", "aarch64", False)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"system": "Darwin\n23"}, "b runs Darwin; compiled steps run on Linux"),
        ({"machine": "ppc64le"}, "b is ppc64le with 64-bit programs, for which nothing can be compiled"),
        ({"system": ""}, "b runs an unknown system"),
    ],
)
def test_boards_that_nothing_is_compiled_for(changed: dict[str, str], said: str) -> None:
    """Another system and another processor are named."""
    with pytest.raises(DeviceError, match=said):
        describe_board({**PI, **changed}, "b")


@pytest.mark.parametrize(
    ("text", "lack"),
    [
        ("", "no python3"),
        ("3.9.2 64\nnumpy 1.26.4\nastroedge -\n", "Python 3.9.2, older than 3.10"),
        ("3.13.1 64\nnumpy -\nastroedge -\n", "Python 3.13.1 without NumPy"),
        ("3.11.2 64\nnumpy 1.24.2\nastroedge 0.1.0\n", "NumPy 1.24.2, older than 1.26"),
        ("\x1b[31m3.11 64\nnumpy 2\n", "no python3"),
    ],
)
def test_what_a_python_lacks(text: str, lack: str) -> None:
    """Why bundles do not run in a board's Python is said in a few words."""
    assert describe_board({**PI, "python": text}, "b").python.lack == lack


def test_texts_of_a_board_hold_no_escapes() -> None:
    """What a board says of itself reaches a terminal in one line, short and without control characters."""
    board = describe_board({**PI, "model": "\x1b]0;owned\x07Pi\u202e" + "x" * 500, "libc": "glibc\x1b[2J"}, "b")
    assert board.name.isprintable()
    assert len(board.name) <= 100
    assert board.libc == "glibc[2J"
