"""How fast this machine reads memory: the streaming bandwidth of one core, by how much it goes over again and again.

A loop in C reads a buffer from front to back in vector registers, many times, and fetches ahead; the buffer lies in
huge pages, as weights do where the system has them. A small one stays in the first cache, a larger one in the second,
and so on; the fastest of several trials counts, because anything else the machine does can only make it slower.
"""

from __future__ import annotations

import ctypes
import mmap
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroedge.abi.aligned import address_of

SIZES = tuple(2**exponent for exponent in range(14, 29))  # 16 KiB … 256 MiB
TRIALS, TRIAL_NANOSECONDS = 7, 15_000_000

SOURCE = """
#include <stdint.h>
typedef uint64_t vector __attribute__((vector_size(64)));
uint64_t read_all(const vector *data, uint64_t vectors, uint64_t passes)
{
    vector sums[8] = {{0}};
    while (passes--) {
        for (uint64_t i = 0; i < vectors; i += 8)
            for (int lane = 0; lane < 8; lane++) {
                __builtin_prefetch(data + i + lane + 64);
                sums[lane] ^= data[i + lane];
            }
        __asm__ volatile("" ::: "memory");
    }
    for (int lane = 1; lane < 8; lane++)
        sums[0] ^= sums[lane];
    return sums[0][0] ^ sums[0][7];
}
"""


def measure_bandwidth(sizes: Sequence[int] = SIZES, cores: int = 1) -> dict[int, float]:
    """Gigabytes a second by the bytes gone over, for every size of `sizes`; the thread should be bound to a core.

    With more cores, as many threads each go over their part of those bytes at the same time.
    """
    read_all = _compile_loop()
    buffers = [_in_huge_pages(max(sizes) // cores) for _ in range(cores)]

    def trial(size: int, passes: int) -> int:
        begin = perf_counter_ns()
        for done in [pool.submit(read_all, address_of(buffer), size // cores // 64, passes) for buffer in buffers]:
            done.result()
        return perf_counter_ns() - begin

    measured = {}
    with ThreadPoolExecutor(cores) as pool:
        for size in sizes:
            passes = max(1, TRIAL_NANOSECONDS // max(trial(size, 1), 1))
            measured[size] = size * passes / min(trial(size, passes) for _ in range(TRIALS))
    return measured


def _in_huge_pages(size: int) -> NDArray[np.uint8]:
    """A buffer whose pages are all there, huge ones where the system has them."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    buffer = np.frombuffer(memory, np.uint8)
    buffer[:] = 1
    return buffer


def _compile_loop() -> Any:
    """The loop as a function of address, vectors and passes."""
    with TemporaryDirectory() as folder:
        source, library = Path(folder) / "read_all.c", Path(folder) / "read_all.so"
        source.write_text(SOURCE, encoding="ascii")
        command = [sys.executable, "-m", "ziglang", "cc", "-O3", "-mcpu=native", "-shared", "-fPIC"]
        subprocess.run([*command, str(source), "-o", str(library)], check=True)
        read_all = ctypes.CDLL(str(library)).read_all
    read_all.argtypes, read_all.restype = (ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64), ctypes.c_uint64
    return read_all


def bandwidth_at(measured: Mapping[int, float], size: int) -> float:
    """Gigabytes a second for a working set of `size` bytes, between the measured sizes along their logarithms."""
    sizes = np.log2(sorted(measured))
    return float(np.interp(np.log2(size), sizes, [measured[item] for item in sorted(measured)]))
