"""The GPUs of this machine, as NVIDIA's driver describes them, and the targets "cuda" and "cuda:sm_87".

By ctypes alone: no toolkit and no package is needed.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from astroedge.errors import TargetError
from astroedge.targets.boards.board_file import LEAST_GPU, Target, shipped_boards
from astroedge.targets.boards.detect import detect_board, detect_native
from astroedge.targets.families import ARCHITECTURES

CUDA = "cuda"
LEAST_DRIVER = (11, 0)
"""The CUDA version that a bundle's library asks of a driver (targets/link/shim/cuda_driver.c)."""
_CHIPS = re.compile(rf"{CUDA}:(sm_\d+(?:,sm_\d+)*)")
# CUdevice_attribute of cuda.h.
_MULTIPROCESSORS, _CLOCK_KHZ, _BUS_BITS, _MAJOR, _MINOR = 16, 36, 37, 75, 76


@dataclass(frozen=True)
class Gpu:
    """A GPU: its compute capability times ten, its multiprocessors, and of its memory bandwidth and size in bytes.

    The bandwidth is 0 where the driver does not tell it. `driver` is the CUDA version its driver is for, "12.6".
    """

    name: str
    capability: int
    multiprocessors: int
    bandwidth_bytes: int
    memory_bytes: int
    driver: str

    def text(self) -> str:
        """The GPU in a few words."""
        return f"{self.name}, sm_{self.capability}, driver for CUDA {self.driver}"

    @property
    def lack(self) -> str:
        """Why no bundle runs on it; "" where bundles for it do."""
        if self.capability < LEAST_GPU:
            return f"bundles run on chips from sm_{LEAST_GPU} on: use this machine's processor"
        if tuple(map(int, self.driver.split("."))) < LEAST_DRIVER:
            least = ".".join(map(str, LEAST_DRIVER))
            return (
                f"bundles need a driver for CUDA {least} or later: install a newer one (on a Jetson, a newer JetPack)"
            )
        return ""


def has_nvidia(root: Path = Path("/")) -> bool:
    """Whether this machine has NVIDIA's driver, or Linux shows a card of theirs or a Jetson.

    `root` is where the files of Linux start.
    """
    if _load_driver() is not None:
        return True
    try:
        compatible = (root / "proc/device-tree/compatible").read_bytes()
    except OSError:
        compatible = b""
    return b"nvidia" in compatible or (root / "proc/driver/nvidia").exists()


def find_gpus() -> list[Gpu]:
    """The GPUs that NVIDIA's driver shows, in its order.

    Raises TargetError where there is no driver, or it shows no GPU.
    """
    driver = _load_driver()
    if driver is None:
        raise TargetError(
            "This machine has no NVIDIA driver (libcuda.so.1 is not found); install it, or compile for a board by its "
            f"name or for chips such as {CUDA}:sm_87."
        )
    count, version = ctypes.c_int(), ctypes.c_int()
    _check(driver, driver.cuInit(0))
    _check(driver, driver.cuDriverGetVersion(ctypes.byref(version)))
    _check(driver, driver.cuDeviceGetCount(ctypes.byref(count)))
    if not count.value:
        raise TargetError("NVIDIA's driver shows no GPU; is one hidden by CUDA_VISIBLE_DEVICES?")
    cuda = f"{version.value // 1000}.{version.value % 1000 // 10}"
    return [_describe(driver, number, cuda) for number in range(count.value)]


def gpu_target(text: str) -> Target | None:
    """The target for this machine's processor and its GPU ("cuda"), or GPUs like the chips named ("cuda:sm_72,sm_87").

    None for another text. What is loaded there needs no more of the processor than any of its architecture has.

    Raises TargetError where "cuda" finds no GPU, and for chips that are not written so.
    """
    if text == CUDA:
        gpu, native = find_gpus()[0], detect_native()
        return replace(
            native,
            name=CUDA,
            description=f"The machine that compiled: {gpu.name}",
            gpu=(f"sm_{gpu.capability}",),
            processor="native",
            multiprocessors=gpu.multiprocessors,
            bandwidth_bytes=gpu.bandwidth_bytes,
            memory_bytes=gpu.memory_bytes,
        )
    named = _CHIPS.fullmatch(text)
    if named is None and text.lower().startswith(f"{CUDA}:"):
        raise TargetError(f"{text!r} names no chips: write them as {CUDA}:sm_87 or {CUDA}:sm_72,sm_87, without spaces.")
    if named is None:
        return None
    generic = shipped_boards()[ARCHITECTURES[detect_board().arch].generic]
    chips = dict.fromkeys(named[1].split(","))
    return replace(
        generic, name=text, description=f"A GPU, {named[1]}", gpu=tuple(chips), processor=generic.name, notes=""
    )


def _load_driver() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None


def _describe(driver: ctypes.CDLL, number: int, version: str) -> Gpu:
    """What the driver, which is for a CUDA version, says about one GPU."""
    device, name, memory = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_size_t()
    _check(driver, driver.cuDeviceGet(ctypes.byref(device), number))
    _check(driver, driver.cuDeviceGetName(name, len(name), device))
    _check(driver, driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device))

    def attribute(key: int, optional: bool = False) -> int:
        value = ctypes.c_int()
        status = driver.cuDeviceGetAttribute(ctypes.byref(value), key, device)
        if not optional:
            _check(driver, status)
        return value.value

    # Two transfers a clock. Not every driver tells it: 0 then.
    bandwidth = 2 * attribute(_CLOCK_KHZ, optional=True) * 1000 * attribute(_BUS_BITS, optional=True) // 8
    capability = 10 * attribute(_MAJOR) + attribute(_MINOR)
    return Gpu(
        name=name.value.decode("utf-8", "replace"),
        capability=capability,
        multiprocessors=attribute(_MULTIPROCESSORS),
        bandwidth_bytes=bandwidth,
        memory_bytes=memory.value,
        driver=version,
    )


def _check(driver: ctypes.CDLL, status: int) -> None:
    """Raise what the driver answers when it does not do what it was asked."""
    if not status:
        return
    name = ctypes.c_char_p()
    describe: Callable[..., int] = driver.cuGetErrorName
    describe(status, ctypes.byref(name))
    raise TargetError(
        f"NVIDIA's driver answers {(name.value or b'an error').decode()} ({status}); does nvidia-smi, or tegrastats on "
        "a Jetson, show the GPU?"
    )
