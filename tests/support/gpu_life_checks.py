"""How sessions on a GPU live beside each other, end and fail; made by tests/support/gpu_checks.py."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import astroedge
from astroedge.errors import AstroEdgeError, IncompatibleError
from astroedge.runtimes.session.compiled import CompiledSession
from tests.support.bundles import draw_ticks, one_tick
from tests.support.gpu_child import CPU, GPU, assert_same, both, calls, failing, succeeded, tick

LAUNCH_FAILED = 719


def check_sharing() -> None:
    """Sessions of a bundle share code and weights on the GPU, and nothing of their streams; the last frees them."""
    inputs, before = draw_ticks(20), calls("cuModuleLoadData")
    with astroedge.load(CPU) as cpu, astroedge.load(GPU) as one, astroedge.load(GPU) as two:
        loads = calls("cuModuleLoadData") - before
        expected = [cpu.step(**tick(inputs, index)) for index in range(20)]
        for index in range(20):
            assert_same(one.step(**tick(inputs, index)), expected[index])
            if index % 2 == 0:
                assert_same(two.step(**tick(inputs, index // 2)), expected[index // 2])
        unloads = calls("cuModuleUnload")
        one.close()
        assert calls("cuModuleUnload") == unloads
        assert_same(two.step(**tick(inputs, 10)), expected[10])
        two.close()
        assert calls("cuModuleUnload") == unloads + 1
    assert loads <= 2, "a second session has loaded the code again"
    assert_balanced()


def check_ends() -> None:
    """Closing frees everything, twice is once, and a session that nobody holds closes itself."""
    session = astroedge.load(GPU)
    kept = session.step(**one_tick())
    state = session.state
    session.close()
    session.close()
    assert state.any()
    assert kept["y"].shape == (1, 4)
    for use in (lambda: session.step(**one_tick()), lambda: session.state, lambda: session.gpu):
        with pytest.raises(AstroEdgeError, match="closed"):
            use()
    assert_balanced()
    lost = astroedge.load(GPU)
    lost.step(**one_tick())
    del lost
    gc.collect()
    assert_balanced()


def assert_balanced() -> None:
    """As much was freed as allocated, when no session is open."""
    for take, give in (
        *(("cuMemAlloc_v2", "cuMemFree_v2"), ("cuMemHostAlloc", "cuMemFreeHost")),
        *(("cuStreamCreate", "cuStreamDestroy_v2"), ("cuEventCreate", "cuEventDestroy_v2")),
        *(("cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRelease_v2"), ("cuCtxPushCurrent_v2", "cuCtxPopCurrent_v2")),
    ):
        assert succeeded(take) == succeeded(give) > 0, take


def check_threads() -> None:
    """Streams in several threads go on at the same time, opened and closed there too."""
    expected: dict[int, dict[str, NDArray[Any]]] = {}
    found: dict[int, dict[str, NDArray[Any]]] = {}

    def compute(seed: int) -> None:
        with astroedge.load(GPU) as session:
            found[seed] = session.run(**draw_ticks(200, seed))

    for seed in range(4):
        with astroedge.load(CPU) as cpu:
            expected[seed] = cpu.run(**draw_ticks(200, seed))
    threads = [threading.Thread(target=compute, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(4):
        assert_same(found[seed], expected[seed])


def check_interrupts() -> None:
    """Ctrl-C ends a run between launches: the state is that of the ticks counted, and the stream goes on."""
    inputs, ticks = draw_ticks(60_000), 60_000
    with both() as (gpu, cpu):

        def interrupt() -> None:
            while not gpu._run_call.steps_done:
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGINT)

        gpu._run_call.steps_done = 0
        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            gpu.run(**inputs)
        assert 0 < gpu.ticks < ticks
        done = gpu.ticks
        cpu.run(**{name: array[:done] for name, array in inputs.items()})
        assert np.array_equal(gpu.state, cpu.state)
        assert_same(gpu.step(**tick(inputs, done)), cpu.step(**tick(inputs, done)))


def check_context() -> None:
    """The context that a caller has made current is so after every call."""
    driver = ctypes.CDLL("libcuda.so.1")
    own, found = ctypes.c_void_p(), ctypes.c_void_p()
    with astroedge.load(GPU) as session:
        assert driver.cuDevicePrimaryCtxRetain(ctypes.byref(own), 1) == 0
        assert driver.cuCtxPushCurrent_v2(own) == 0
        session.step(**one_tick())
        session.run(**draw_ticks(3))
        session.state = session.state.copy()
        session.activity()
        with astroedge.load(GPU):
            pass
    assert driver.cuCtxPopCurrent_v2(ctypes.byref(found)) == 0
    assert found.value == own.value
    assert driver.cuDevicePrimaryCtxRelease_v2(1) == 0


def check_fork() -> None:
    """A forked process can only close what it has inherited, and opens nothing; its parent goes on."""
    with both() as (gpu, cpu):
        gpu.step(**one_tick())
        cpu.step(**one_tick())
        with multiprocessing.get_context("fork").Pool(1) as pool:
            words = pool.apply(_in_fork)
        assert [("forked" in word) for word in words] == [True, True, True], words
        assert_same(gpu.step(**one_tick()), cpu.step(**one_tick()))


def _in_fork() -> list[str]:
    """What a forked process is told."""
    (session,) = [item for item in gc.get_objects() if isinstance(item, CompiledSession) and item._on_gpu]
    words = [
        error_of(use)
        for use in (lambda: session.step(**one_tick()), lambda: session.state, lambda: astroedge.load(GPU))
    ]
    session.close()
    return words


def error_of(use: Callable[[], object]) -> str:
    """What an error of AstroEdge says; "" for none."""
    try:
        use()
    except AstroEdgeError as error:
        return str(error)
    return ""


def check_memory() -> None:
    """Where the GPU has no room the message says how much is needed, and nothing is left behind."""
    before = calls("cuMemAlloc_v2"), calls("cuMemHostAlloc")
    for later in range(1, 7):
        with (
            failing("cuMemAlloc_v2", 2, later),
            pytest.raises(IncompatibleError, match=r"needs [\d.]+ k?B more of the GPU's"),
        ):
            astroedge.load(GPU)
    for later in range(1, 3):
        with (
            failing("cuMemHostAlloc", 2, later),
            pytest.raises(IncompatibleError, match=r"B more of pinned host memory, which this"),
        ):
            astroedge.load(GPU)
    with failing("cuDevicePrimaryCtxRetain", 2), pytest.raises(IncompatibleError, match=r"needs more of .* a context"):
        astroedge.load(GPU)
    with failing("cuDevicePrimaryCtxRetain", 1), pytest.raises(AstroEdgeError, match="failed to open a context: CUDA"):
        astroedge.load(GPU)
    assert (calls("cuMemAlloc_v2"), calls("cuMemHostAlloc")) > before
    with astroedge.load(GPU) as session:
        session.step(**one_tick())


def check_death() -> None:
    """After a failed launch a session only closes, and once all are closed another opens and gives the right bits."""
    gpu, other = astroedge.load(GPU), astroedge.load(GPU)
    gpu.step(**one_tick())
    with failing("cuStreamSynchronize", LAUNCH_FAILED), pytest.raises(AstroEdgeError, match=r"state on .* is lost"):
        gpu.step(**one_tick())
    for use in (
        *(lambda: gpu.step(**one_tick()), lambda: gpu.run(**draw_ticks(3)), lambda: gpu.state, gpu.activity),
        *(gpu.snapshot, gpu.reset),
    ):
        with pytest.raises(AstroEdgeError, match="CUDA_ERROR_LAUNCH_FAILED"):
            use()
    with pytest.raises(AstroEdgeError, match="close all its sessions first"):
        astroedge.load(GPU)
    gpu.close()
    other.close()
    with both() as (again_gpu, cpu):
        assert_same(again_gpu.run(**draw_ticks(20)), cpu.run(**draw_ticks(20)))


def check_failures_of_a_run() -> None:
    """Whatever call of a step or run fails, it is an error with the driver's word for it, and not another result."""
    for name in (
        *("cuLaunchCooperativeKernel", "cuStreamSynchronize", "cuEventRecord", "cuEventElapsedTime"),
        *("cuMemcpyHtoDAsync_v2", "cuMemcpyDtoHAsync_v2", "cuCtxPushCurrent_v2"),
    ):
        session = astroedge.load(GPU)
        with failing(name, LAUNCH_FAILED), pytest.raises(AstroEdgeError, match="CUDA_ERROR_LAUNCH_FAILED"):
            session.run(**draw_ticks(300))
        session.close()
