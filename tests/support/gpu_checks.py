"""Checks of sessions on a GPU, in a process of its own that has the fake driver.

`python -m tests.support.gpu_checks FOLDER NAME …` makes the checks of these names in order, on the bundles gpu.astro
and cpu.astro in FOLDER, and writes a JSON object: what went wrong by name, "" where nothing did.
"""

from __future__ import annotations

import ctypes
import gc
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.errors import AstroEdgeError, IncompatibleError, InputError
from astroedge.runtimes.checking.verify import verify
from astroedge.runtimes.profiling.profiler import profile
from astroedge.runtimes.session.compiled import CompiledSession
from tests.support.bundles import draw_ticks, one_tick

FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
GPU, CPU = FOLDER / "gpu.astro", FOLDER / "cpu.astro"
LAUNCH_FAILED = 719


@contextmanager
def both() -> Iterator[tuple[CompiledSession, CompiledSession]]:
    """A session on the GPU and one on the processor, of the same layer."""
    with astroedge.load(GPU) as gpu, astroedge.load(CPU) as cpu:
        yield gpu, cpu


def tick(inputs: dict[str, Any], index: int) -> dict[str, Any]:
    """One tick of many."""
    return {name: array[index] for name, array in inputs.items()}


def assert_same(ours: dict[str, NDArray[Any]], theirs: dict[str, NDArray[Any]]) -> None:
    """Outputs are equal bit for bit."""
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert array.tobytes() == theirs[name].tobytes(), name


@contextmanager
def settings(text: str) -> Iterator[None]:
    """The driver plays a GPU with further settings."""
    before = os.environ["FAKE_CUDA"]
    os.environ["FAKE_CUDA"] = f"{before} {text}"
    try:
        yield
    finally:
        os.environ["FAKE_CUDA"] = before


def calls(name: str) -> int:
    """How often the driver's function was called."""
    return (FOLDER / "calls").read_text(encoding="ascii").split("\n").count(name)


def failing(name: str, error: int, later: int = 1) -> Any:
    """The driver's function fails at its next call, or a later one."""
    return settings(f"fail={name}:{calls(name) + later}:{error}")


# --- sessions ---------------------------------------------------------------------------------------------------------


def check_steps() -> None:
    """Outputs, their padding and states are the processor's after each tick; one launch a tick."""
    inputs = draw_ticks(30)
    with both() as (gpu, cpu):
        before = calls("cuLaunchCooperativeKernel")
        for index in range(30):
            assert_same(gpu.step(**tick(inputs, index)), cpu.step(**tick(inputs, index)))
            assert np.array_equal(gpu.state, cpu.state)
            assert np.array_equal(gpu.output_bytes, cpu.output_bytes)
        assert calls("cuLaunchCooperativeKernel") == before + 30
        assert gpu.ticks == 30
        out = {"y": np.zeros((1, 4), np.float32)}
        assert gpu.step(**tick(inputs, 0), out=out) is out
        assert_same(out, {"y": cpu.step(**tick(inputs, 0))["y"]})


def check_runs() -> None:
    """Many ticks take few launches and give what steps give, repeated inputs and no ticks at all too."""
    inputs = draw_ticks(700)
    alike = {name: np.broadcast_to(array[0], (300, *array.shape[1:])) for name, array in inputs.items()}
    with both() as (gpu, cpu):
        before = calls("cuLaunchCooperativeKernel")
        for given in (inputs, alike, {name: array[:0] for name, array in inputs.items()}, inputs):
            assert_same(gpu.run(**given), cpu.run(**given))
            assert np.array_equal(gpu.state, cpu.state)
        assert calls("cuLaunchCooperativeKernel") - before < 500
        assert gpu.ticks == cpu.ticks == 1700
        assert_same(gpu.present(50, **one_tick()), cpu.present(50, **one_tick()))


def check_states() -> None:
    """The state is read as a copy that is read only, is set whole, and refused where it could be none."""
    with both() as (gpu, cpu):
        first = gpu.state
        assert np.array_equal(first, cpu.state)
        initial = gpu.states["lif.v"]
        assert set(gpu.states) == {"lif.v", "lif.threshold", "ticks"}
        gpu.step(**one_tick())
        cpu.step(**one_tick())
        assert not np.array_equal(first, gpu.state)
        assert not np.array_equal(initial, gpu.states["lif.v"])
        assert np.array_equal(gpu.states["lif.v"], cpu.states["lif.v"])
        for array in (first, initial):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
        later = gpu.state
        gpu.state = first
        assert np.array_equal(gpu.state, first)
        with pytest.raises(InputError, match=r"session\.state\.copy"):
            gpu.state = first[1:]
        spoilt = first.copy()
        spoilt[:4] = 0xFF
        with pytest.raises(InputError, match="holds a NaN"):
            gpu.state = spoilt
        assert np.array_equal(gpu.state, first)
        gpu.overwrite_state(spoilt)
        assert np.array_equal(gpu.state, spoilt)
        gpu.overwrite_state(later)
        assert_same(gpu.step(**one_tick()), cpu.step(**one_tick()))


def check_snapshots() -> None:
    """A stream moves from the GPU to the processor and back, and goes back to its beginning."""
    inputs = draw_ticks(60)
    with both() as (gpu, cpu):
        gpu.run(**{name: array[:20] for name, array in inputs.items()})
        kept = gpu.snapshot()
        cpu.restore(kept)
        assert cpu.ticks == gpu.ticks == 20
        rest = {name: array[20:] for name, array in inputs.items()}
        assert_same(gpu.run(**rest), cpu.run(**rest))
        gpu.restore(kept)
        assert gpu.ticks == 20
        assert_same(gpu.run(**rest), again(cpu, kept, rest))
        with pytest.raises(InputError, match="damaged"):
            gpu.restore(kept[:-1] + b"\1")
        assert np.array_equal(gpu.state, cpu.state)
        gpu.reset()
        cpu.reset()
        assert gpu.ticks == 0
        assert np.array_equal(gpu.state, cpu.state)


def again(session: CompiledSession, kept: bytes, inputs: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """What a stream gives once more."""
    session.restore(kept)
    return session.run(**inputs)


def check_activity() -> None:
    """Spikes are counted on the GPU as on the processor, from the last reset of the counts on."""
    with both() as (gpu, cpu):
        for session in (gpu, cpu):
            session.run(**draw_ticks(40))
        assert gpu.activity() == cpu.activity()
        assert gpu.activity()["lif.spikes"].active > 40, "the layer must fire, or the check proves nothing"
        for session in (gpu, cpu):
            session.reset_activity()
            session.run(**draw_ticks(10, seed=2))
            session.reset()
            session.step(**one_tick())
        assert gpu.activity() == cpu.activity()
        assert gpu.activity()["lif.spikes"].ticks == 11


def check_refusals() -> None:
    """A NaN, an index out of range and a wrong name or shape are the processor's errors; the state is unchanged."""
    with both() as (gpu, cpu):
        for session in (gpu, cpu):
            session.run(**draw_ticks(5))
        inputs, before = draw_ticks(300), calls("cuLaunchCooperativeKernel")
        spoilt = {**inputs, "x": inputs["x"].copy()}
        spoilt["x"][290, 0, 3] = np.nan
        wrong = {**inputs, "token": inputs["token"] + 16}
        for given in (spoilt, wrong, {**inputs, "y": inputs["x"]}, {**inputs, "x": inputs["x"][:, :, :2]}):
            with pytest.raises(InputError) as ours:
                gpu.run(**given)
            with pytest.raises(InputError) as theirs:
                cpu.run(**given)
            assert str(ours.value) == str(theirs.value)
        with pytest.raises(InputError, match="holds a NaN"):
            gpu.step(**{**one_tick(), "x": np.full((1, 8), np.nan, np.float32)})
        assert calls("cuLaunchCooperativeKernel") == before
        assert np.array_equal(gpu.state, cpu.state)
        assert gpu.ticks == 5


def check_arguments() -> None:
    """A GPU is chosen by its number, for a bundle that one computes; it takes no threads."""
    with astroedge.load(GPU, device=1) as second:
        assert second.gpu is not None
        assert (second.gpu.ordinal, second.gpu.capability, second.gpu.driver) == (1, "8.7", "12.6")
        second.step(**one_tick())
    for wrong in (2, 99):
        with pytest.raises(InputError, match=f"no GPU {wrong}; the driver has 2"):
            astroedge.load(GPU, device=wrong)
    for other in (-1, True, "0", 2**40):
        with pytest.raises(InputError, match="must be the number of a GPU"):
            astroedge.load(GPU, device=other)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="whose processor computes"):
        astroedge.load(CPU, device=0)
    with pytest.raises(InputError, match="the ticks of 'tiny' are a GPU's"):
        astroedge.load(GPU, threads=2)
    with astroedge.load(CPU) as cpu:
        assert cpu.gpu is None


def check_grids() -> None:
    """The bits do not depend on how many blocks a grid has, and no more are launched than run at once."""
    bundle, inputs = Bundle.load(GPU), draw_ticks(300)
    with astroedge.load(CPU) as cpu:
        expected = cpu.run(**inputs)
    for blocks, launched in ((0, 2), (1, 1), (3, 3), (4, 4), (1000, 4)):
        with CompiledSession(bundle, blocks=blocks) as session:
            assert session.gpu is not None
            assert session.gpu.blocks == launched
            assert_same(session.run(**inputs), expected)


def check_reports() -> None:
    """verify replays the processor's golden trace; profile tells the GPU's memory and time."""
    report = verify(GPU)
    assert report.ok, report.text()
    found = profile(GPU, steps=20, warmup=2)
    assert found.reading("device memory").value == memory_of(GPU)
    for name in ("device time", "launch overhead"):
        assert found.reading(name).label == "measured", name
    assert found.step.p50 >= found.reading("launch overhead").value  # type: ignore[operator]
    assert 0 < found.spikes[0].rate < 1
    with pytest.raises(KeyError):
        profile(CPU, steps=20, warmup=2).reading("device time")


def memory_of(bundle: Path) -> int:
    """Bytes on the GPU."""
    with astroedge.load(bundle) as session:
        assert session.gpu is not None
        return session.gpu.memory


# --- lives of sessions ------------------------------------------------------------------------------------------------


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


def succeeded(name: str) -> int:
    """How often the driver's function was called and did not fail."""
    lines = (FOLDER / "calls").read_text(encoding="ascii").split("\n")
    return calls(name) - sum(line.startswith(f"{name} fails") for line in lines)


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


# --- failures ---------------------------------------------------------------------------------------------------------


def check_memory() -> None:
    """Where the GPU has no room the message says how much is needed, and nothing is left behind."""
    before = calls("cuMemAlloc_v2"), calls("cuMemHostAlloc")
    for later in range(1, 7):
        with failing("cuMemAlloc_v2", 2, later), pytest.raises(IncompatibleError, match=r"needs \d+ bytes more"):
            astroedge.load(GPU)
    for later in range(1, 4):
        with failing("cuMemHostAlloc", 2, later), pytest.raises(IncompatibleError, match="bytes more of pinned host"):
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


def main(names: list[str]) -> None:
    """Make the checks and print what went wrong."""
    wrong = {name: outcome(globals()[f"check_{name}"]) for name in names}
    sys.stdout.write(json.dumps(wrong))


def outcome(check: Callable[[], None]) -> str:
    """What goes wrong in a check, "" for nothing."""
    try:
        check()
    except BaseException:
        return traceback.format_exc()
    return ""


if __name__ == "__main__":
    main(sys.argv[2:])
