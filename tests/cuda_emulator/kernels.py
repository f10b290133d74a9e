"""Emulated kernels called with NumPy arrays: from PTX, or from CUDA C by `run_source`."""

from __future__ import annotations

import atexit
import ctypes
import re
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.cuda_emulator.compile_c import RUNTIME, THREADS, compile_library, compile_object
from tests.cuda_emulator.jit import compile_ptx

Argument = NDArray[Any] | np.generic | int | float | bytes | None
_KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(")
_CPP = ("-x", "c++", "-std=gnu++17", "-nostdinc++", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics")
_TELL_ACCESSES = ("-DEMULATED_RACES", "-fsanitize=thread", "-mllvm", "-tsan-distinguish-volatile=1")


class KernelError(RuntimeError):
    """A launch went wrong: threads wait for ever, a race, a trap; the message says which."""


class _Dim(ctypes.Structure):
    _fields_ = (("x", ctypes.c_uint), ("y", ctypes.c_uint), ("z", ctypes.c_uint))


class _Launch(ctypes.Structure):
    """`emulated_launch` of runtime/threads.h."""

    _fields_ = (
        ("kernel", ctypes.c_void_p),
        ("arguments", ctypes.c_void_p),
        ("grid", _Dim),
        ("block", _Dim),
        ("shared", ctypes.c_size_t),
        ("seed", ctypes.c_uint),
    )


class Kernels:
    """The kernels of one text, compiled for this processor."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))

    def launch(
        self,
        kernel: str,
        grid: int | Sequence[int],
        block: int | Sequence[int],
        *arguments: Argument,
        shared: int = 0,
        seed: int = 0,
    ) -> None:
        """Run a kernel; all blocks are there at once.

        Arrays are given by address, None as no address, numbers and bytes by value in the size of the parameter. The
        `seed` orders threads and blocks: 0 ascending, 1 descending, others shuffled at every turn. `shared` is memory
        that a block gets beside its variables, in bytes.

        Raises KernelError where the launch goes wrong, AttributeError for a kernel that is not there.
        """
        sizes = self._sizes(kernel)
        if len(arguments) != len(sizes):
            raise TypeError(f"{kernel} takes {len(sizes)} arguments, not {len(arguments)}")
        values = [_bytes_of(given, size) for given, size in zip(arguments, sizes, strict=True)]
        buffers = [ctypes.create_string_buffer(value, len(value)) for value in values]
        addresses = (ctypes.c_void_p * len(buffers))(*map(ctypes.addressof, buffers))
        launch = _Launch(None, ctypes.addressof(addresses), _dim(grid), _dim(block), shared, seed)
        self._name_arguments(arguments)
        message = ctypes.create_string_buffer(512)
        if getattr(self._library, f"emulated_kernel_{kernel}")(ctypes.byref(launch), message, len(message)):
            raise KernelError(message.value.decode())

    def _sizes(self, kernel: str) -> list[int]:
        sizes = (ctypes.c_size_t * 64)()
        return list(sizes[: getattr(self._library, f"emulated_parameters_{kernel}")(sizes)])

    def _name_arguments(self, arguments: Sequence[Argument]) -> None:
        """Races are told with the number of the argument."""
        name = getattr(self._library, "emulated_name_memory", None)
        for place, given in enumerate(arguments):
            if name is not None and isinstance(given, np.ndarray):
                name(ctypes.c_void_p(given.ctypes.data), ctypes.c_size_t(given.nbytes), f"argument {place}".encode())


def load_ptx(text: str, folder: Path | None = None, races: bool = False, fused: bool = False) -> Kernels:
    """The kernels of a PTX text; with `races`, a launch ends with KernelError where threads race.

    What is compiled is kept in `folder`, or until the process ends. Raises PtxRefusedError for what the emulator does
    not know, and for fused arithmetic unless `fused`.
    """
    library = _place(text, f"ptx{'-races' if races else ''}{'-fused' if fused else ''}", folder)
    if not library.exists():
        compile_ptx(text, library, races, fused)
    return Kernels(library)


def load_source(text: str, folder: Path | None = None, races: bool = False) -> Kernels:
    """The kernels of a CUDA C text, compiled as C++ for this processor; with `races` as in `load_ptx`.

    Raises CompilerError with the compiler's words.
    """
    library = _place(text, f"source{'-races' if races else ''}", folder)
    if not library.exists():
        source, built, cache_folder = library.with_suffix(".cpp"), library.with_suffix(".o"), library.parent / "zig"
        names = dict.fromkeys(_KERNEL.findall(text))
        exports = "\n".join(f"EMULATED_KERNEL({name})" for name in names)
        source.write_text(f'#include "cuda.h"\n{text}\n{exports}\n', encoding="utf-8")
        cache_folder.mkdir(exist_ok=True)
        compile_object(source, built, cache_folder, [*_CPP, "-O1", *(_TELL_ACCESSES if races else ())])
        watchers = [RUNTIME / "races.c", RUNTIME / "instrumented.c"] if races else []
        options = ["-std=gnu11", "-O1", *(["-DEMULATED_RACES"] if races else [])]
        compile_library([*THREADS, *watchers], library, cache_folder, options, [built])
    return Kernels(library)


def run_source(
    text: str,
    kernel: str,
    grid: int | Sequence[int],
    block: int | Sequence[int],
    *arguments: Argument,
    seed: int = 0,
    races: bool = False,
) -> None:
    """Run a kernel of a CUDA C text: `load_source`, and `Kernels.launch`."""
    load_source(text, races=races).launch(kernel, grid, block, *arguments, seed=seed)


def _place(text: str, kind: str, folder: Path | None) -> Path:
    return (folder or _scratch()) / f"{sha256(text.encode()).hexdigest()[:24]}-{kind}.so"


@cache
def _scratch() -> Path:
    folder = mkdtemp(prefix="emulated-kernels-")
    atexit.register(rmtree, folder, ignore_errors=True)
    return Path(folder)


def _dim(given: int | Sequence[int]) -> _Dim:
    return _Dim(*([given, 1, 1] if isinstance(given, int) else [*given, 1, 1][:3]))


def _bytes_of(given: Argument, size: int) -> bytes:
    """An argument as the parameter's bytes."""
    if isinstance(given, np.ndarray):
        if not given.flags.c_contiguous:
            raise TypeError("an array for a kernel is contiguous")
        value = given.ctypes.data.to_bytes(8, "little")
    elif given is None:
        value = bytes(8)
    elif isinstance(given, bytes):
        value = given
    elif isinstance(given, np.generic):
        value = given.tobytes()
    elif isinstance(given, float):
        value = np.array(given, np.float32 if size == 4 else np.float64).tobytes()
    else:
        value = (given % (1 << 8 * size)).to_bytes(size, "little")
    if len(value) != size:
        raise TypeError(f"the argument {given!r} has {len(value)} bytes, the parameter {size}")
    return value
