"""One board's part of a command: what it needs is copied, and its Python or the executable works there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from astroedge.bundle.manifest import GoldenTick
from astroedge.errors import AstroEdgeError, DeviceError
from astroedge.runtimes.checking.golden import Replay
from astroedge.runtimes.checking.verify import VerifyReport
from astroedge.runtimes.remote.answer import decode_arrays, encode_arrays
from astroedge.session import Array
from astroedge.step_profile import Profile
from astroedge.strict_json import schema
from astroedge.workflows.board_builds import Build
from astroedge.workflows.devices.connection import Connection
from astroedge.workflows.devices.copy_files import RemoteFile, bundle_files, copy_files, keep_files
from astroedge.workflows.devices.install_numpy import numpy_archive
from astroedge.workflows.devices.python_there import ask_python, device_package, not_an_answer
from astroedge.workflows.devices.remote_board import RemoteBoard
from astroedge.workflows.inputs.array_files import read_arrays

BUNDLE = "step.astro"
SPARE = 4 << 20  # bytes for what is made there beside what is sent
UNPACKED = 4  # an archive of Python files and what is unpacked from it, in sizes of the archive
Report = Callable[[str], None]


class BoardWork:
    """A build on a board; `prepare` first."""

    def __init__(self, connection: Connection, board: RemoteBoard, build: Build, say: Report) -> None:
        self._connection, self._board, self._build, self._say = connection, board, build, say
        self._has_python = False
        self._arrays: dict[str, Array] | None = None
        self._files: list[RemoteFile] = []

    def prepare(self, inputs: str | os.PathLike[str] | None = None, *, install: bool = False) -> None:
        """Read the inputs, and copy what works with them; with `install` NumPy too, where the board has none.

        Raises DeviceError where nothing on the board can work, or nothing can be copied; InputError for the file.
        """
        lack, installs = self._board.python.lack, install and self._board.python.is_new_enough
        self._has_python = not lack or installs
        if not self._has_python and self._build.program is None:
            raise DeviceError(
                f"{self._connection.address.text} has {lack}, and {self._build.lack}. Give the step graph, install "
                "NumPy there (Debian: apt install python3-numpy), or send it along with --install."
            )
        if inputs is not None:
            self._arrays = read_arrays(inputs, self._build.bundle.manifest.step.inputs)
        if self._has_python:
            self._files = [device_package(), *bundle_files(self._build.bundle, BUNDLE)]
            if lack:
                self._say("fetching NumPy")
                self._files.append(numpy_archive(self._board, self._connection.address.text))
        size = sum(len(file.content) for file in self._files)
        archives = sum(len(file.content) for file in self._files if file.name.endswith(".zip"))
        self._connection.place(size + UNPACKED * archives + SPARE)
        copy_files(self._connection, self._files, self._say)

    def keep(self) -> None:
        """Leave what was copied in the board's cache."""
        keep_files(self._connection, self._files)

    def profiles(self, options: Mapping[str, Any], threads: int | None) -> Iterator[tuple[Profile, VerifyReport]]:
        """Measure and verify by every program that can."""
        if self._has_python:
            self._say("measuring in Python")
            record, _ = self._ask({"do": "profile", "options": dict(options), "threads": threads}, self._arrays)
            yield self._profile(record.get("profile")), self._report(record.get("golden"))

    def verify(self, threads: int | None) -> VerifyReport:
        """Replay the golden trace."""
        self._say("verifying")
        record, _ = self._ask({"do": "verify", "threads": threads}, None)
        return self._report(record.get("golden"))

    def run(self, request: Mapping[str, Any], inputs: Mapping[str, Array], limit: int) -> dict[str, Array]:
        """Outputs of the step on arrays; `request` as in `runtimes/remote`, `limit` is how many bytes they can be."""
        self._say("running")
        _, content = self._ask({"do": "run", **request}, inputs, limit)
        try:
            return decode_arrays(content)
        except Exception as error:  # NumPy and zipfile raise whatever they stumble over
            raise not_an_answer(self._connection.address.text, str(error)) from error

    def _ask(
        self, request: Mapping[str, Any], inputs: Mapping[str, Array] | None, limit: int = 0
    ) -> tuple[dict[str, Any], bytes]:
        data = b"" if inputs is None else encode_arrays(inputs)
        question = {"bundle": BUNDLE, **request}
        return ask_python(self._connection, question, data, **({"limit": limit} if limit else {}))

    def _profile(self, record: Any) -> Profile:
        """A profile that a board sent, once it is one."""
        wrong = schema("profile")(record, "the profile")
        if wrong is not None:
            raise not_an_answer(self._connection.address.text, wrong)
        try:
            return Profile.from_json(record)
        except AstroEdgeError as error:
            raise not_an_answer(self._connection.address.text, str(error)) from error

    def _report(self, record: Any) -> VerifyReport:
        """What a replay there found beside what the bundle holds, once it is one."""
        manifest = self._build.bundle.manifest
        try:
            found = tuple(
                GoldenTick(int(item["tick"]), _digest(item["state"]), _digest(item["outputs"])) for item in record
            )
            if [item.tick for item in found] != [item.tick for item in manifest.golden.ticks]:
                raise ValueError("the golden trace has other ticks")
        except (TypeError, KeyError, ValueError) as error:
            raise not_an_answer(self._connection.address.text, str(error)) from error
        return VerifyReport(manifest.model, manifest.target.name, Replay(manifest.golden.ticks, found))


def _digest(text: Any) -> str:
    """A SHA-256 in hexadecimal; ValueError for anything else."""
    if not (isinstance(text, str) and len(text) == 64):
        raise ValueError("a hash of the golden trace is none")
    int(text, 16)
    return text
