"""NVIDIA's compiler as a library (NVRTC): CUDA C → PTX and machine code. No toolkit, no headers and no GPU are needed.

It comes with a package from PyPI, by ctypes alone. Reference: NVRTC's user guide, docs.nvidia.com/cuda/nvrtc.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path

from astroedge.errors import CompileError, MissingDependencyError
from astroedge.targets.pass_list import UnknownForm

LIBRARY_VARIABLE = "ASTROEDGE_NVRTC"
"""An environment variable with the path of another libnvrtc, for a toolkit that is installed already."""

# Release 11.8 builds for every chip from 2014 to 2022, and its PTX is taken by the oldest drivers that matter; 13 has
# dropped the chips before compute capability 7.5, and with them the Jetson Xavier.
PACKAGE = "nvidia-cuda-nvrtc-cu11"
PACKAGES = (PACKAGE, "nvidia-cuda-nvrtc-cu12")
MODULE = "nvidia.cuda_nvrtc"
_RELEASE = re.compile(r"^// Cuda compilation tools, release [0-9.]+, V([0-9.]+)$", re.MULTILINE)
EXTRA = "cuda"
INSTALL = f'pip install "astroedge[{EXTRA}]"'


@dataclass(frozen=True)
class Built:
    """What NVRTC made of a text for one chip: PTX, machine code (empty where none was asked for) and its log."""

    ptx: str
    cubin: bytes
    log: str


class Nvrtc:
    """A loaded NVRTC; `version` is (11, 8), `capabilities` the chips it builds for, 87 for compute capability 8.7."""

    def __init__(self, path: Path) -> None:
        """Load the library.

        Raises MissingDependencyError when it cannot be loaded.
        """
        try:
            self._library = ctypes.CDLL(str(path))
        except OSError as error:
            raise MissingDependencyError(
                f"NVRTC, which compiles for GPUs, cannot be loaded from {path} ({error}): {INSTALL}"
            ) from error
        self._library.nvrtcGetErrorString.restype = ctypes.c_char_p
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._check(self._library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
        self.version = (major.value, minor.value)
        self.capabilities = self._capabilities()

    @cached_property
    def release(self) -> str:
        """The version to its last number, "11.8.89", which it writes into PTX alone; `version` where it does not."""
        found = _RELEASE.search(self.compile("", f"compute_{max(self.capabilities)}", ()).ptx)
        return found[1] if found else ".".join(map(str, self.version))

    def compile(self, text: str, architecture: str, options: Sequence[str]) -> Built:
        """Compile CUDA C for `architecture`: "sm_87" gives machine code and PTX, "compute_87" PTX alone.

        Raises UnknownForm with NVRTC's messages for a text that it refuses, CompileError for what else fails.
        """
        arguments = [f"--gpu-architecture={architecture}", *options]
        program = ctypes.c_void_p()
        create = self._library.nvrtcCreateProgram
        self._check(create(ctypes.byref(program), text.encode(), b"step.cu", 0, None, None))
        try:
            array = (ctypes.c_char_p * len(arguments))(*[argument.encode() for argument in arguments])
            # In a thread of its own: NVRTC sets the locale of its thread to "C", and leaves it so. Python would read
            # what other programs print as ASCII from then on.
            with ThreadPoolExecutor(1) as thread:
                status = thread.submit(self._library.nvrtcCompileProgram, program, len(arguments), array).result()
            log = self._read("nvrtcGetProgramLog", program).rstrip(b"\0\n").decode("utf-8", "replace")
            if status:
                raise UnknownForm(
                    f"NVRTC refuses the CUDA C of the step for {architecture} ({self._word(status)}); this is a defect "
                    f"of the compiler, report it with the graph: {log.splitlines()[0] if log else 'no message'}"
                )
            ptx = self._read("nvrtcGetPTX", program).rstrip(b"\0").decode("ascii")
            cubin = self._read("nvrtcGetCUBIN", program) if architecture.startswith("sm_") else b""
        finally:
            self._library.nvrtcDestroyProgram(ctypes.byref(program))
        return Built(ptx, cubin, log)

    def _capabilities(self) -> tuple[int, ...]:
        count = ctypes.c_int()
        self._check(self._library.nvrtcGetNumSupportedArchs(ctypes.byref(count)))
        found = (ctypes.c_int * count.value)()
        self._check(self._library.nvrtcGetSupportedArchs(found))
        return tuple(found)

    def _read(self, function: str, program: ctypes.c_void_p) -> bytes:
        """What a pair of functions, one for the size and one for the bytes, gives of a program."""
        size = ctypes.c_size_t()
        self._check(getattr(self._library, f"{function}Size")(program, ctypes.byref(size)))
        buffer = ctypes.create_string_buffer(size.value)
        self._check(getattr(self._library, function)(program, buffer))
        return buffer.raw

    def _word(self, status: int) -> str:
        return str(self._library.nvrtcGetErrorString(status).decode())

    def _check(self, status: int) -> None:
        if status:
            raise CompileError(f"NVRTC fails with {self._word(status)}; reinstall it: {INSTALL} --force-reinstall")


def find_nvrtc() -> Path:
    """The library of NVRTC: the one that ASTROEDGE_NVRTC names, else that of the package from PyPI.

    Raises MissingDependencyError when there is none.
    """
    named = os.environ.get(LIBRARY_VARIABLE)
    if named:
        return Path(named)
    for package in PACKAGES:
        try:
            files = metadata.files(package) or []
        except metadata.PackageNotFoundError:
            continue
        for file in files:
            if file.name.startswith("libnvrtc.so."):
                return Path(str(file.locate()))
    raise MissingDependencyError(f"NVRTC is not installed and compiling for a GPU needs it: {INSTALL}")


@cache
def load_nvrtc(path: Path) -> Nvrtc:
    """NVRTC from `path`, loaded once a process.

    Raises MissingDependencyError when it cannot be loaded.
    """
    return Nvrtc(path)
