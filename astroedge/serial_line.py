"""A serial line: opened as it is wired everywhere, read line by line by whoever asks."""

from __future__ import annotations

import os

from astroedge.errors import InputError

BAUD = 115_200


def parse_serial(text: str) -> tuple[str, int]:
    """`/dev/ttyUSB0` or `/dev/ttyUSB0:9600` as a path and a speed; InputError for another form."""
    path, separator, speed = text.rpartition(":")
    if not separator:
        path, speed = text, str(BAUD)
    if not path or not speed.isdecimal():
        raise InputError(f"{text!r} is no serial line; write /dev/ttyUSB0, or /dev/ttyUSB0:9600 with its speed.")
    return path, int(speed)


def open_serial(path: str, baud: int = BAUD) -> int:
    """A descriptor of the line, not blocking: 8 bits, no parity, no echo.

    Raises InputError for a speed that lines do not have, OSError for what cannot be opened or is no terminal.
    """
    import termios

    speed = getattr(termios, f"B{baud}", None)
    if not speed:
        raise InputError(f"A serial line has no {baud} baud; 9600 and {BAUD} are usual.")
    line = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        settings = termios.tcgetattr(line)
        settings[0] = settings[1] = settings[3] = 0
        settings[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
        settings[4] = settings[5] = speed
        termios.tcsetattr(line, termios.TCSANOW, settings)
    except termios.error as error:
        os.close(line)
        raise OSError(error.args[0], "it is no serial line", path) from error
    return line
