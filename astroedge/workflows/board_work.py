"""One board's part of a command: what it needs is copied, and its Python or the executable works there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import GoldenTick, Manifest
from astroedge.errors import AstroEdgeError, DeviceError, printable
from astroedge.kernel_profile import KernelTrace
from astroedge.profile_parts import Energy
from astroedge.runtimes.checking.golden import Replay
from astroedge.runtimes.checking.verify import VerifyReport
from astroedge.runtimes.profiling.energy import IDLE_SECONDS, SETTLING, measure_energy
from astroedge.runtimes.profiling.power_sources import PowerSource
from astroedge.runtimes.remote.answer import decode_arrays, encode_arrays
from astroedge.session import Array
from astroedge.step_profile import Profile, Reading
from astroedge.strict_json import schema
from astroedge.workflows.board_builds import Build, no_python
from astroedge.workflows.devices.connection import LARGEST_ANSWER, Connection
from astroedge.workflows.devices.copy_files import RemoteFile, bundle_files, copy_files, keep_files, list_files
from astroedge.workflows.devices.install_numpy import numpy_archive
from astroedge.workflows.devices.program_there import NAME, ask_json, ask_program, program_failed, program_file
from astroedge.workflows.devices.python_there import ask_python, device_package, not_an_answer
from astroedge.workflows.devices.remote_board import RemoteBoard
from astroedge.workflows.devices.steps_there import StepsThere

BY_PYTHON, BY_EXECUTABLE = "python", "executable"
PROGRAM_OPTIONS = ("steps", "warmup", "duration", "rate", "threads")
SPARE = 4 << 20  # bytes for what is made there beside what is sent
UNPACKED = 4  # an archive of Python files and what is unpacked from it, in sizes of the archive
GRAPH = "compare.onnx"
IN_THE_WAY = 74  # what job.sh exits with
OTHER_BITS = 70  # what the executable exits with where the golden trace differs
Report = Callable[[str], None]


@dataclass(frozen=True)
class Proof:
    """What the golden trace came to on a board, replayed by "python" or by the "executable"."""

    by: str
    ok: bool
    text: str


class BoardWork:
    """A build on a board; `prepare` first. With `only` one of "python" and "executable" works, else each that can."""

    def __init__(
        self, connection: Connection, board: RemoteBoard, build: Build, say: Report, only: str | None = None
    ) -> None:
        self._connection, self._board, self._say = connection, board, say
        self._build = replace(build, program=None) if only == BY_PYTHON else build
        self._only = only
        self._has_python = False
        self._files: list[RemoteFile] = []
        self._folder = f"{build.bundle.linked_digest[:16]}.astro"

    @property
    def manifest(self) -> Manifest:
        """The manifest of the bundle that this board has."""
        return self._build.bundle.manifest

    @property
    def bundle(self) -> Bundle:
        """The bundle that this board has."""
        return self._build.bundle

    def prepare(self, *, install: bool = False, beside: str = "") -> None:
        """Copy the bundle and the executable, and what works with them; with `install` NumPy, if the board has none.

        What is to stay is copied `beside` its place.

        Raises DeviceError where nothing on the board can work, or nothing can be copied.
        """
        lack = self._board.python.lack
        self._has_python = self._board.python.works(install) and self._only != BY_EXECUTABLE
        if not self._has_python and self._build.program is None:
            why = f"there is no executable: {self._build.lack or 'Python was asked for.'}"
            raise no_python(self._connection.address, self._board, why)
        if self._build.program is not None:
            self._files.append(program_file(self._build.program))
        if self._has_python:
            self._files += [device_package(), *bundle_files(self._build.bundle, self._folder)]
        if self._has_python and lack:
            self._say("fetching NumPy")
            self._files.append(numpy_archive(self._board, self._connection.address.text))
        if not self._connection.folder:
            size = sum(len(file.content) for file in self._files)
            archives = sum(len(file.content) for file in self._files if file.name.endswith(".zip"))
            self._connection.place(size + UNPACKED * archives + SPARE, beside)
        copy_files(self._connection, self._files, self._say)

    def keep(self) -> None:
        """Leave what was copied in the board's cache."""
        keep_files(self._connection, self._files)

    def stay(self, by: str, path: str, name: str) -> str:
        """Move the bundle (by "python") or the executable to `path` for good, `name` in it where it is a folder.

        Returns where it is now. Raises DeviceError where that cannot be written, or is something else.
        """
        kind, moved = ("bundle", self._folder) if by == BY_PYTHON else ("file", NAME)
        kept = [file for file in self._files if file.name.split("/")[0] == moved]
        answer = self._connection.work("move", moved, path, kind, name, data=list_files(kept))
        if answer.code == IN_THE_WAY:
            raise DeviceError(
                f"{self._connection.address.text}: what lies at {path} is no {kind} that could be replaced; name "
                "another place, or remove it."
            )
        if answer.code:
            raise self._connection.no_room(answer)
        return _short(answer.out.decode("utf-8", "replace"))

    def profiles(
        self,
        options: Mapping[str, Any],
        inputs: Mapping[str, Array] | None,
        threads: int | None,
        raster: bool = False,
        compare: bytes | None = None,
    ) -> Iterator[tuple[Profile, Proof]]:
        """Measure and verify by every program that can; the executable draws its inputs, and measures without given.

        Kernels, a raster and ONNX Runtime on the graph to `compare` with come from Python alone.
        """
        if self._has_python:
            self._say("measuring in Python")
            request = {"do": "profile", "options": dict(options), "threads": threads, "raster": raster}
            if compare is not None:
                copy_files(self._connection, [RemoteFile(GRAPH, compare)], self._say)
                request["compare"] = GRAPH
            record, _ = self._ask(request, inputs)
            found = self._profile(record.get("profile"))
            yield self._with_trace(found, record.get("trace")), self._proof(record.get("golden"))
        if self._build.program is not None and inputs is None:
            self._say("measuring by the executable")
            record = ask_json(self._connection, ["profile", *_words({**options, "threads": threads}), "--json", "-"])
            yield self._profile(record), self._proof_by_program(threads)

    def energy(
        self,
        meter: PowerSource,
        profile: Profile,
        inputs: Mapping[str, Array] | None,
        seconds: float,
        *,
        idle: float = IDLE_SECONDS,
        settling: float = SETTLING,
    ) -> Energy | Reading:
        """What a step takes by a meter of this machine, while the board's Python steps; `profile` is what it measured.

        `idle` and `settling` are those of `measure_energy`. Raises what reading the meter raises, and errors there.
        """
        self._say("measuring energy")
        data = b"" if inputs is None else encode_arrays(inputs)
        request = {"bundle": self._folder, "threads": profile.threads, "step": profile.step.p50}
        with StepsThere(self._connection, request, data) as there:
            return measure_energy(meter, there.spend, seconds, idle=idle, settling=settling)

    def proofs(self, threads: int | None) -> Iterator[Proof]:
        """Replay the golden trace by every program that can."""
        self._say("verifying")
        if self._has_python:
            record, _ = self._ask({"do": "verify", "threads": threads}, None)
            yield self._proof(record.get("golden"))
        if self._build.program is not None:
            yield self._proof_by_program(threads)

    def run(self, request: Mapping[str, Any], inputs: Mapping[str, Array], limit: int) -> dict[str, Array]:
        """Outputs of the step on arrays; `request` as in `runtimes/remote`, `limit` is how many bytes they can be.

        It says what to do where that is something else than to run, such as "generate".

        Raises DeviceError where only the executable works and the request is more than all ticks in a row.
        """
        self._say("running")
        if not self._has_python:
            return self._run_program(request, inputs, limit)
        _, content = self._ask({"do": "run", **request}, inputs, limit)
        try:
            return decode_arrays(content)
        except Exception as error:  # NumPy and zipfile raise whatever they stumble over
            raise not_an_answer(self._connection.address.text, str(error)) from error

    def _ask(
        self, request: Mapping[str, Any], inputs: Mapping[str, Array] | None, limit: int = LARGEST_ANSWER
    ) -> tuple[dict[str, Any], bytes]:
        data = b"" if inputs is None else encode_arrays(inputs)
        return ask_python(self._connection, {"bundle": self._folder, **request}, data, limit)

    def _profile(self, record: Any) -> Profile:
        """A profile that a board sent, once it is one."""
        wrong = schema("profile")(record, "the profile")
        if wrong is not None:
            raise not_an_answer(self._connection.address.text, wrong)
        try:
            return Profile.from_json(record)
        except AstroEdgeError as error:
            raise not_an_answer(self._connection.address.text, str(error)) from error

    def _with_trace(self, found: Profile, record: Any) -> Profile:
        """A profile whose kernels have the trace that came beside it, once it is one."""
        if found.kernels is None:
            return found
        try:
            return replace(found, kernels=replace(found.kernels, trace=KernelTrace.from_json(record)))
        except (KeyError, TypeError, ValueError) as error:
            raise not_an_answer(self._connection.address.text, f"the trace: {error!r}") from error

    def _proof(self, record: Any) -> Proof:
        """What a replay there found beside what the bundle holds, once it is one."""
        golden = self.manifest.golden.ticks
        try:
            found = tuple(
                GoldenTick(int(item["tick"]), _digest(item["state"]), _digest(item["outputs"])) for item in record
            )
            if [item.tick for item in found] != [item.tick for item in golden]:
                raise ValueError("the golden trace has other ticks")
        except (TypeError, KeyError, ValueError) as error:
            raise not_an_answer(self._connection.address.text, str(error)) from error
        report = VerifyReport(self.manifest.model, self.manifest.target.name, Replay(golden, found))
        return Proof(BY_PYTHON, report.ok, report.text().rpartition(": ")[2])

    def _proof_by_program(self, threads: int | None) -> Proof:
        answer = ask_program(self._connection, ["verify", *_words({"threads": threads})])
        if answer.code not in (0, OTHER_BITS):
            raise program_failed(self._connection, "verify", answer)
        said = answer.err if answer.code else answer.out.decode("utf-8", "replace")
        return Proof(BY_EXECUTABLE, answer.code == 0, printable(said.strip()[:1000]))

    def _run_program(self, request: Mapping[str, Any], inputs: Mapping[str, Array], limit: int) -> dict[str, Array]:
        """All ticks by the executable, in and out as frames: the fields of a tick in their order, nothing between."""
        device, layout = self._connection.address.text, self.manifest.layout
        if request.get("ticks") is not None or request.get("sequences") or "do" in request:
            raise DeviceError(
                f"{device} has {self._board.python.lack}, and the executable runs one stream; install NumPy there, or "
                "send it along with --install."
            )
        data = b"".join(
            np.ascontiguousarray(inputs[field.name][tick], np.dtype(field.dtype).newbyteorder("<")).tobytes()
            for tick in range(min((len(array) for array in inputs.values()), default=0))
            for field in layout.inputs
        )
        answer = ask_program(self._connection, ["run", *_words({"threads": request.get("threads")})], data, limit)
        if answer.code:
            raise program_failed(self._connection, "run", answer)
        frame = np.dtype([(item.name, np.dtype(item.dtype).newbyteorder("<"), item.shape) for item in layout.outputs])
        if len(answer.out) % frame.itemsize:
            raise not_an_answer(device, f"{len(answer.out)} bytes are no frames of {frame.itemsize}")
        frames = np.frombuffer(answer.out, frame)
        return {item.name: frames[item.name].astype(item.dtype) for item in layout.outputs}


def _short(text: str) -> str:
    """A path that a board told, for a terminal."""
    return printable(text.strip("\n"))[:1000]


def _digest(text: Any) -> str:
    """A SHA-256 in hexadecimal; ValueError for anything else."""
    if not (isinstance(text, str) and len(text) == 64):
        raise ValueError("a hash of the golden trace is none")
    int(text, 16)
    return text


def _words(options: Mapping[str, Any]) -> Sequence[str]:
    """Options of `astroedge.profile` as those of an executable, which has some of them."""
    given = {name: options.get(name) for name in PROGRAM_OPTIONS}
    return [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]
