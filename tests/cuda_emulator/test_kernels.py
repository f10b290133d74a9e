"""One text by two ways: through NVRTC and its PTX, and as C++. Races, which neither shows by its numbers alone."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from astroedge.errors import MissingDependencyError
from astroedge.targets.cuda.build_images import FREE, STRICT
from astroedge.targets.cuda.nvrtc import find_nvrtc, load_nvrtc
from tests.cuda_emulator.compile_c import HERE, CompilerError
from tests.cuda_emulator.kernels import KernelError, Kernels, load_ptx, load_source, run_source

TEXT = (HERE / "sample_kernels.cuh").read_text(encoding="utf-8")
ROWS, COLUMNS, STEPS = 600, 200, 6
# What the lines end with that cannot be left out.
NEEDED = ("MASKS", "ROWS", "PARTIAL", "CURRENT", "FENCE")
WRONG = r"race: thread|memory that is not there"


@cache
def ptx_of(text: str, fused: bool = False) -> str:
    """What NVRTC makes of a text; a test that asks for it is skipped where there is no NVRTC."""
    try:
        nvrtc = load_nvrtc(find_nvrtc())
    except MissingDependencyError as error:
        pytest.skip(str(error))
    return nvrtc.compile(text, "compute_72", FREE if fused else STRICT).ptx


def run_net(kernels: Kernels, grid: int, seed: int = 0, stop: int = 0) -> dict[str, NDArray[Any]]:
    """The net on drawn spikes; everything that it writes."""
    draw = np.random.default_rng(3)
    spikes = (draw.random((STEPS, ROWS)) < 0.2).astype(np.uint8)
    weights = (draw.standard_normal((ROWS, COLUMNS)) * 0.3).astype(np.float32)
    result = {
        "partial": np.zeros((3, COLUMNS), np.float32),
        "current": np.zeros(COLUMNS, np.float32),
        "voltage": np.zeros(COLUMNS, np.float32),
        "outputs": np.zeros((STEPS, COLUMNS), np.float32),
        "counters": np.zeros(2, np.uint64),
    }
    control, flag = np.zeros(32, np.uint32), np.array([stop], np.uint32)
    arguments = (spikes, weights, *result.values(), control, flag, ROWS, COLUMNS, STEPS)
    kernels.launch("run", grid, 128, *arguments, seed=seed)
    return result


def same(a: dict[str, NDArray[Any]], b: dict[str, NDArray[Any]]) -> bool:
    """Whether all bytes are equal."""
    return all(a[name].tobytes() == b[name].tobytes() for name in a)


def without(mark: str) -> str:
    """The text without the barrier whose line is marked."""
    lines = TEXT.splitlines()
    (place,) = (place for place, line in enumerate(lines) if line.endswith(f"/* {mark} */"))
    return "\n".join([*lines[:place], *lines[place + 1 :]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is compiled."""
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture(scope="module")
def expected(folder: Path) -> dict[str, NDArray[Any]]:
    """What one block computes from the source, its threads in ascending order."""
    result = run_net(load_source(TEXT, folder), 1)
    assert result["counters"][0] > 50
    return result


@pytest.mark.parametrize(("grid", "seed"), [(1, 1), (2, 0), (3, 7), (5, 8)])
def test_order_and_number_of_threads_change_no_bit(
    folder: Path, expected: dict[str, NDArray[Any]], grid: int, seed: int
) -> None:
    """A kernel with all its barriers gives the same numbers in any order."""
    assert same(run_net(load_source(TEXT, folder), grid, seed), expected)


@pytest.mark.parametrize(("grid", "seed"), [(1, 0), (3, 5)])
def test_ptx_gives_the_bits_of_its_source(
    folder: Path, expected: dict[str, NDArray[Any]], grid: int, seed: int
) -> None:
    """NVRTC's code, instruction by instruction, computes what a C++ compiler's does."""
    assert same(run_net(load_ptx(ptx_of(TEXT), folder), grid, seed), expected)


def test_the_host_can_stop_a_kernel(folder: Path, expected: dict[str, NDArray[Any]]) -> None:
    """Volatile memory is read anew."""
    stopped = run_net(load_source(TEXT, folder), 2, stop=1)
    assert not stopped["voltage"].any()
    assert expected["voltage"].any()


def test_fused_arithmetic_gives_other_bits(folder: Path, expected: dict[str, NDArray[Any]]) -> None:
    """NVRTC left to itself contracts; the comparison above would see it."""
    assert "fma.rn.f32" not in ptx_of(TEXT, fused=True)  # every product is rounded by its name
    contracted = ptx_of(TEXT.replace("__fmul_rn(voltage[i], 0.9f)", "voltage[i] * 0.9f"), fused=True)
    assert "fma.rn.f32" in contracted
    assert not same(run_net(load_ptx(contracted, folder, fused=True), 2), expected)


def test_kernels_with_all_barriers_do_not_race(folder: Path, expected: dict[str, NDArray[Any]]) -> None:
    """And watching changes no result; neither from the source nor from its PTX."""
    assert same(run_net(load_source(TEXT, folder, races=True), 3, seed=2), expected)
    assert same(run_net(load_ptx(ptx_of(TEXT), folder, races=True), 3, seed=2), expected)


@pytest.mark.parametrize("mark", NEEDED)
def test_a_missing_barrier_is_a_race(folder: Path, mark: str) -> None:
    """It is found in one order of threads, at the latest when what was read too early leads out of the memory."""
    with pytest.raises(KernelError, match=WRONG):
        run_net(load_source(without(mark), folder, races=True), 3)


def test_a_missing_barrier_is_a_race_in_ptx(folder: Path) -> None:
    """The same in what NVRTC made of it."""
    with pytest.raises(KernelError, match=WRONG):
        run_net(load_ptx(ptx_of(without("PARTIAL")), folder, races=True), 3)


def test_a_barrier_that_orders_nothing_may_go(folder: Path, expected: dict[str, NDArray[Any]]) -> None:
    """The one at the end of a step: what the next one writes before its first barrier nobody reads behind the last."""
    assert same(run_net(load_source(without("STEP"), folder, races=True), 3, seed=4), expected)


@pytest.mark.parametrize("mark", ["ROWS", "PARTIAL"])
def test_a_missing_barrier_shows_in_some_order(folder: Path, expected: dict[str, NDArray[Any]], mark: str) -> None:
    """Without watching too, one of a few seeds gives other numbers, or leads to memory that is not there."""
    broken = load_source(without(mark), folder)

    def right(seed: int) -> bool:
        try:
            return same(run_net(broken, 3, seed), expected)
        except KernelError:
            return False

    assert not all(right(seed) for seed in range(4))


def test_a_race_is_told_with_its_threads_and_its_place() -> None:
    """The message names both threads, the argument and the byte."""
    text = """extern "C" __global__ void shift(const int *given, int *numbers) {
        numbers[threadIdx.x + 1] = numbers[threadIdx.x] + given[0]; }"""
    numbers = np.zeros(33, np.int32)
    run_source(text, "shift", 1, 32, np.ones(1, np.int32), numbers)
    assert numbers.tolist() == list(range(33))
    with pytest.raises(
        KernelError, match="thread 1 of block 0 reads byte 0x4 of argument 1, which thread 0 of block 0 wrote"
    ):
        run_source(text, "shift", 1, 32, np.ones(1, np.int32), numbers, races=True)


def test_a_text_that_is_no_cuda_c_is_refused_with_the_compilers_words() -> None:
    """Where it is, and what is wrong."""
    with pytest.raises(CompilerError, match="undeclared identifier 'nothing'"):
        load_source('extern "C" __global__ void run(int *x) { x[0] = nothing; }')
