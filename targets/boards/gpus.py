"""The GPUs of this machine, as NVIDIA's driver describes them, and the targets "cuda" and "cuda:sm_87".

By ctypes alone: no toolkit and no package is needed.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from astroedge.errors import TargetError
from astroedge.targets.boards.board_file import Target, shipped_boards
from astroedge.targets.boards.detect import detect_native
from astroedge.targets.families import ARCHITECTURES
from astroedge.targets.families.machine import this_machine

CUDA = "cuda"
_CHIPS = re.compile(rf"{CUDA}:(sm_\d+(?:,sm_\d+)*)")
# CUdevice_attribute of cuda.h.
_MULTIPROCESSORS, _CLOCK_KHZ, _BUS_BITS, _MAJOR, _MINOR = 16, 36, 37, 75, 76


@dataclass(frozen=True)
class Gpu:
    """A GPU: its compute capability times ten, its multiprocessors, and of its memory bandwidth and size in bytes.

    The bandwidth is 0 where the driver does not tell it.
    """

    name: str
    capability: int
    multiprocessors: int
    bandwidth_bytes: int
    memory_bytes: int


def find_gpus() -> list[Gpu]:
    """The GPUs that NVIDIA's driver shows, in its order.

    Raises TargetError where there is no driver, or it shows no GPU.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise TargetError(
            "This machine has no NVIDIA driver (libcuda.so.1 is not found); install it, or compile for a board by its "
            f"name or for chips such as {CUDA}:sm_87."
        ) from error
    count = ctypes.c_int()
    _check(driver, driver.cuInit(0))
    _check(driver, driver.cuDeviceGetCount(ctypes.byref(count)))
    if not count.value:
        raise TargetError("NVIDIA's driver shows no GPU; is one hidden by CUDA_VISIBLE_DEVICES?")
    return [_describe(driver, number) for number in range(count.value)]


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
    generic = shipped_boards()[ARCHITECTURES[this_machine().arch].generic]
    chips = dict.fromkeys(named[1].split(","))
    return replace(
        generic, name=text, description=f"A GPU, {named[1]}", gpu=tuple(chips), processor=generic.name, notes=""
    )


def _describe(driver: ctypes.CDLL, number: int) -> Gpu:
    """What the driver says about one GPU."""
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
    return Gpu(name.value.decode("utf-8", "replace"), capability, attribute(_MULTIPROCESSORS), bandwidth, memory.value)


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
