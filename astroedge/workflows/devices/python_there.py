"""A bundle worked by the Python of a board: the device side of this AstroEdge is sent along, NumPy if need be."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from astroedge import errors
from astroedge.errors import AstroEdgeError, DeviceError, printable
from astroedge.strict_json import read_json
from astroedge.workflows.devices.connection import LARGEST_ANSWER, Answer, Connection
from astroedge.workflows.devices.copy_files import RemoteFile

PACKAGE = "astroedge.zip"
NUMPY = "numpy.zip"
_HOST_ONLY = ("cli", "exporters", "models", "targets", "workflows")
# Unpacked, because the package reads files of its own; what NumPy's wheel holds is found the same way.
_START = (
    "import os,runpy,sys,zipfile;"
    f"[zipfile.ZipFile(name).extractall('site') for name in ('{PACKAGE}','{NUMPY}') if os.path.exists(name)];"
    "sys.path.insert(0,os.path.abspath('site'));"
    "runpy.run_module('astroedge.runtimes.remote.serve',run_name='__main__')"
)


@cache
def device_package() -> RemoteFile:
    """The device side of AstroEdge as one archive, the same bytes every time."""
    root = Path(errors.__file__).parent
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(_device_files(root)):
            entry = zipfile.ZipInfo(f"astroedge/{path.relative_to(root)}")
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    return RemoteFile(PACKAGE, content.getvalue())


def ask_python(
    connection: Connection, request: Mapping[str, Any], data: bytes = b"", limit: int = LARGEST_ANSWER
) -> tuple[dict[str, Any], bytes]:
    """Have the board's Python answer a request of `runtimes/remote`; the record and the arrays that follow it.

    Raises the error that was raised there, with the board's name before it; DeviceError where Python fails, and for an
    answer that is none.
    """
    device = connection.address.text
    answer = connection.work("start", *python_words(request), data=data, limit=limit)
    if answer.code:
        raise python_ended(device, answer)
    line, _, arrays = answer.out.partition(b"\n")
    return read_record(device, line), arrays


def python_words(request: Mapping[str, Any]) -> tuple[str, ...]:
    """The command line of a board's Python that answers a request."""
    # Without Python's variables, which change what is imported, and without bytecode, which could stay somewhere else.
    return ("python3", "-E", "-B", "-c", _START, json.dumps(request))


def python_ended(device: str, answer: Answer) -> DeviceError:
    """The error for a Python that did not end by itself."""
    return DeviceError(f"{device}: {_ended(answer.code)} {_last_line(answer.err)}")


def read_record(device: str, line: bytes) -> dict[str, Any]:
    """The record in a line of an answer.

    Raises the error that the record is, with the board's name before it, and DeviceError for what is no record.
    """
    try:
        record = read_json(line)
    except ValueError as error:
        raise not_an_answer(device, str(error)) from error
    if not isinstance(record, dict):
        raise not_an_answer(device, "it is no object")
    if "error" in record:
        raise _error_there(device, record["error"])
    return record


def not_an_answer(device: str, why: str) -> DeviceError:
    """The error for an answer that a board's AstroEdge never gives."""
    return DeviceError(
        f"{device} answers with something else than AstroEdge would ({why[:200]}); did a program there write between, "
        "or is it another program? Nothing of it was used."
    )


def _error_there(device: str, record: Any) -> AstroEdgeError:
    """An error of ours that was raised on the board, by its name and message."""
    if not (isinstance(record, list) and len(record) == 2 and all(isinstance(item, str) for item in record)):
        return not_an_answer(device, "its error is none")
    kind = getattr(errors, record[0], None)
    if not (isinstance(kind, type) and issubclass(kind, AstroEdgeError)):
        kind = DeviceError
    return kind(f"{device}: {record[1][:2000]}")


def _device_files(root: Path) -> list[Path]:
    """Python files and schemas; the stages' folders are links, and what only a host runs stays here."""
    found = []
    for path in root.iterdir():
        if path.name in _HOST_ONLY or path.name == "__pycache__":
            continue
        files = path.rglob("*") if path.is_dir() else [path]
        found += [file for file in files if file.suffix in (".py", ".json")]
    return found


def _ended(code: int) -> str:
    """What an exit code of the board's Python means."""
    if code == 127:
        return "python3 is no longer there."
    if code > 128:
        signal = code - 128
        why = ", usually for want of memory" if signal == 9 else ", usually by an instruction it lacks" * (signal == 4)
        return f"Python was ended by signal {signal}{why}."
    return f"Python failed with code {code}."


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return printable(lines[-1].strip())[:300] if lines else "It gave no reason."
