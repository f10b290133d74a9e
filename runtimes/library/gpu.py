"""One stream of a step on a GPU: opened, read, written and closed through the bundle's own library (astro_abi.h).

Nothing here knows CUDA: the library opens the driver, and says what is wrong.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroedge.abi.aligned import address_of
from astroedge.abi.layout import (
    E_CAPABILITY,
    E_DEVICE_MEMORY,
    E_DRIVER,
    E_NO_DEVICE,
    E_ORDINAL,
    STATE,
    WORKSPACE,
    AstroOpening,
)
from astroedge.bundle.manifest import Manifest
from astroedge.errors import AstroEdgeError, IncompatibleError, InputError

_LARGEST_ORDINAL = 2**31 - 1
_CLASSES: dict[int, type[AstroEdgeError]] = {
    E_ORDINAL: InputError,
    **dict.fromkeys((E_DRIVER, E_NO_DEVICE, E_CAPABILITY, E_DEVICE_MEMORY), IncompatibleError),
}


@dataclass(frozen=True)
class Gpu:
    """A GPU that a session is on, and what the session takes there.

    `ordinal` is its number, `capability` its compute capability, `driver` the CUDA version of its driver, both as they
    are written ("8.7", "12.6"). The step runs in `blocks` blocks, on code that was made for compute capability
    `image`, by the driver from PTX where `compiled`. `memory` is bytes on the GPU, with the weights, which sessions of
    one bundle share.
    """

    name: str
    ordinal: int
    capability: str
    driver: str
    blocks: int
    image: str
    compiled: bool
    memory: int


class GpuStream:
    """The state and workspace of one stream on a GPU; `address` is what `astro_call.device` takes.

    All but opening is done with the interpreter's lock held, so no other thread begins a tick meanwhile.
    """

    def __init__(
        self, library: ctypes.CDLL, manifest: Manifest, weights: NDArray[np.uint8], ordinal: int, blocks: int = 0
    ) -> None:
        """Open GPU number `ordinal` and send it the weights; state and workspace are zeros.

        `blocks` is how large a grid to launch, as far as it runs at once; 0 leaves it to the bundle.

        Raises IncompatibleError for a driver, a GPU or memory that is not there or does not do, InputError for a number
        that no GPU has, AstroEdgeError where the driver fails.
        """
        self._layout = manifest.layout
        opening = AstroOpening(size=ctypes.sizeof(AstroOpening), weights=address_of(weights), ordinal=ordinal)
        opening.wanted_blocks = blocks
        status = library.astro_open_device(ctypes.byref(opening))
        if status:
            raise _CLASSES.get(status, AstroEdgeError)(_text(opening.message))
        self.address: int = opening.device
        self.gpu = Gpu(
            name=_text(opening.name),
            ordinal=ordinal,
            capability=_dotted(opening.capability, 10),
            driver=_dotted(opening.driver // 10, 100),
            blocks=opening.blocks,
            image=_dotted(opening.image, 10),
            compiled=bool(opening.compiled),
            memory=opening.memory,
        )
        self._read = _entry(library.astro_read_device, *_READ)
        self._write = _entry(library.astro_write_device, ctypes.c_void_p, ctypes.c_void_p)
        self._message = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)(_address(library.astro_device_message))
        self._close = weakref.finalize(self, _entry(library.astro_close_device, ctypes.c_void_p), self.address)
        # A daemon thread may still be in the middle of a tick then; the driver frees what a process leaves.
        self._close.atexit = False

    def read_state(self) -> NDArray[np.uint8]:
        """A copy of the state."""
        return self._copy(STATE, 0, self._layout.state_size)

    def read_workspace(self, offset: int, nbytes: int) -> NDArray[np.uint8]:
        """A copy of a part of the workspace."""
        return self._copy(WORKSPACE, offset, nbytes)

    def write_state(self, state: NDArray[np.uint8]) -> None:
        """Replace the state; `state` is contiguous and of its size."""
        self._check(self._write(self.address, address_of(state)))

    def failure(self, status: int) -> AstroEdgeError:
        """What the library says of a status less than `E_TICK`."""
        said = self._message(self.address).decode("utf-8", "replace")
        return AstroEdgeError(
            said or f"The GPU's step failed with status {status}; please report this with the bundle."
        )

    def close(self) -> None:
        """Free everything on the GPU; again: nothing."""
        self._close()

    def _copy(self, memory: int, offset: int, nbytes: int) -> NDArray[np.uint8]:
        target = np.empty(max(nbytes, 1), np.uint8)  # an empty array has no address of its own
        self._check(self._read(self.address, memory, offset, address_of(target), nbytes))
        return target[:nbytes]

    def _check(self, status: int) -> None:
        if status:
            raise self.failure(status)


_READ = (ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint64)


def choose_device(manifest: Manifest, device: int | None) -> int:
    """The number of the GPU that is to compute: 0 unless the caller says another.

    Raises InputError for what is no number, and for any where the processor computes.
    """
    if device is None:
        return 0
    if manifest.device is None:
        raise InputError(
            f"device={device!r}, but the bundle is compiled for {manifest.target.name}, whose processor computes; "
            "leave device= out, or compile the graph for a GPU."
        )
    if type(device) is not int or not 0 <= device <= _LARGEST_ORDINAL:
        raise InputError(f"device={device!r} must be the number of a GPU, from 0.")
    return device


def _entry(function: object, *arguments: Any) -> Callable[..., int]:
    return ctypes.PYFUNCTYPE(ctypes.c_int32, *arguments)(_address(function))


def _address(function: object) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0  # type: ignore[arg-type]


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _dotted(number: int, unit: int) -> str:
    return f"{number // unit}.{number % unit}"
