"""A network worked by its executable on a board, which needs nothing there but Linux and its processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from astroedge.errors import DeviceError, printable
from astroedge.strict_json import read_json
from astroedge.workflows.devices.connection import LARGEST_ANSWER, Answer, Connection
from astroedge.workflows.devices.copy_files import PROGRAM, RemoteFile
from astroedge.workflows.devices.python_there import not_an_answer

NAME = "step"
_WRONG_FORMAT, _NOT_THERE = 126, 127
_ILLEGAL_INSTRUCTION, _KILLED = 128 + 4, 128 + 9


def program_file(content: bytes) -> RemoteFile:
    """The executable, for the private folder."""
    return RemoteFile(NAME, content, PROGRAM)


def ask_program(connection: Connection, words: Sequence[str], data: bytes = b"", limit: int = LARGEST_ANSWER) -> Answer:
    """Run the executable with these arguments.

    Raises DeviceError where it cannot be started or is ended by a signal.
    """
    answer = connection.work("start", f"./{NAME}", *words, data=data, limit=limit)
    why = {
        _WRONG_FORMAT: "it is for another processor, or programs may not run in that folder",
        _NOT_THERE: "the system there cannot run it",
        _ILLEGAL_INSTRUCTION: "its processor lacks an instruction that the step is compiled with",
        _KILLED: "it was killed, usually for want of memory",
    }.get(answer.code)
    if why is not None or answer.code > 128:
        raise DeviceError(
            f"{connection.address.text}: the executable does not run ({why or f'signal {answer.code - 128}'})"
            f"{_said(answer)}; compile for the board's own target."
        )
    return answer


def ask_json(connection: Connection, words: Sequence[str]) -> Any:
    """The JSON that the executable prints.

    Raises DeviceError where it fails, and for what is no JSON.
    """
    answer = ask_program(connection, words)
    if answer.code:
        raise program_failed(connection, words[0], answer)
    try:
        return read_json(answer.out)
    except ValueError as error:
        raise not_an_answer(connection.address.text, str(error)) from error


def program_failed(connection: Connection, work: str, answer: Answer) -> DeviceError:
    """The error for an exit code that the executable should not have."""
    return DeviceError(
        f"{connection.address.text}: the executable's {work} failed with code {answer.code}{_said(answer)}."
    )


def _said(answer: Answer) -> str:
    lines = answer.err.strip().splitlines()
    return f": {printable(lines[-1])[:300]}" if lines else ""
