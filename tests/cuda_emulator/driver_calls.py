"""The driver's calls by ctypes, for tests: a call that fails raises the name of its error."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.cuda_emulator.build_driver import driver_environment


class DriverError(RuntimeError):
    """A call gave an error; `code` is its number, the message its name."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def settings(folder: Path, fail: Sequence[str] = (), **words: object) -> Iterator[None]:
    """While it lasts, the driver in this process plays the GPU that is described."""
    wanted = driver_environment(folder, fail, **words)
    names = [name for name in wanted if name.startswith("FAKE_CUDA")]
    before = {name: os.environ.get(name) for name in names}
    os.environ.update({name: wanted[name] for name in names})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ.update({name: value} if value is not None else {})


class Driver:
    """A driver in this process, with the first device's context current and a stream that blocks nobody.

    `library` is the fake one's path, or "libcuda.so.1" for that of a GPU.
    """

    def __init__(self, library: Path | str) -> None:
        self._library = ctypes.CDLL(str(library))
        self("cuInit", 0)
        context = ctypes.c_void_p()
        self("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
        self("cuCtxSetCurrent", context)
        self.stream = ctypes.c_void_p()
        self("cuStreamCreate", ctypes.byref(self.stream), 1)

    def close(self) -> None:
        """Give the context back, and with it all memory."""
        self("cuDevicePrimaryCtxRelease_v2", 0)

    def code(self, name: str, *arguments: Any) -> int:
        """Make a call; returns its error, 0 for none. Numbers that are 64 bits in C come as ctypes' types."""
        return int(getattr(self._library, name)(*arguments))

    def __call__(self, name: str, *arguments: Any) -> None:
        """Make a call that has to succeed. Raises DriverError."""
        code = self.code(name, *arguments)
        if code:
            text = ctypes.c_char_p()
            self.code("cuGetErrorName", code, ctypes.byref(text))
            raise DriverError(code, f"{name}: {(text.value or b'?').decode()}")

    def allocate(self, size: int) -> ctypes.c_uint64:
        """Device memory."""
        at = ctypes.c_uint64()
        self("cuMemAlloc_v2", ctypes.byref(at), ctypes.c_size_t(size))
        return at

    def pinned(self, size: int) -> tuple[int, int]:
        """Memory of the host that the device sees too: its address here and there."""
        host, device = ctypes.c_void_p(), ctypes.c_uint64()
        self("cuMemHostAlloc", ctypes.byref(host), ctypes.c_size_t(size), 2)
        self("cuMemHostGetDevicePointer_v2", ctypes.byref(device), host, 0)
        return int(host.value or 0), device.value

    def upload(self, array: NDArray[Any]) -> ctypes.c_uint64:
        """Device memory with a copy of an array."""
        at = self.allocate(array.nbytes)
        self("cuMemcpyHtoD_v2", at, ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes))
        return at

    def download(self, at: ctypes.c_uint64, like: NDArray[Any]) -> NDArray[Any]:
        """A copy of device memory, as an array like another."""
        result = np.empty_like(like)
        self("cuMemcpyDtoH_v2", ctypes.c_void_p(result.ctypes.data), at, ctypes.c_size_t(result.nbytes))
        return result

    def load(self, text: str | bytes, kernel: str) -> ctypes.c_void_p:
        """A function of a module."""
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        self("cuModuleLoadData", ctypes.byref(module), text.encode() + b"\0" if isinstance(text, str) else text)
        self("cuModuleGetFunction", ctypes.byref(function), module, kernel.encode())
        return function

    def launch(self, function: ctypes.c_void_p, grid: int, block: int, *arguments: Any) -> None:
        """A cooperative launch on the stream; arguments are ctypes' numbers."""
        parameters = (ctypes.c_void_p * len(arguments))(*map(ctypes.addressof, arguments))
        self("cuLaunchCooperativeKernel", function, grid, 1, 1, block, 1, 1, 0, self.stream, parameters)

    def wait(self) -> None:
        """Until the stream's work is done."""
        self("cuStreamSynchronize", self.stream)
