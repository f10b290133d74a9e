"""Opening a GPU from C: what is missing or too old is one line, whatever call fails, and nothing leaks."""

from __future__ import annotations

import re
import subprocess
from ctypes.util import find_library
from pathlib import Path

import pytest

from astroedge.targets.boards.target import resolve_target
from astroedge.targets.link.linker import find_linker, run_compiler
from tests.cuda_emulator.build_driver import DRIVER, driver_environment
from tests.support.c_host import build_checked_host
from tests.support.places import ROOT

HEADER = ROOT / "targets" / "link" / "shim" / "cuda_driver.h"
FUNCTIONS = re.findall(r"X\((cu\w+),", HEADER.read_text(encoding="utf-8"))
# What opening, one tick and closing do not call, or whose failure nobody needs to know of.
UNUSED = {"cuGetErrorName", "cuGetErrorString", "cuEventRecord", "cuEventElapsedTime", "cuDeviceTotalMem_v2"}
FREEING = {
    *("cuDevicePrimaryCtxRelease_v2", "cuCtxPopCurrent_v2", "cuModuleUnload", "cuMemFree_v2", "cuMemFreeHost"),
    *("cuStreamDestroy_v2", "cuEventDestroy_v2", "cuMemcpyDtoHAsync_v2"),
}
INVALID_VALUE = 1


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C host, which ends at the first wrong access and tells of memory that is left."""
    return build_checked_host(tmp_path_factory.mktemp("host"))


def run(program: Path, bundle: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the host. The fake driver itself keeps what it gives for a function, and what it fails to free."""
    (program.parent / "leaks").write_text("leak:cuModuleGetFunction\n", encoding="ascii")
    looks = not any(f"fail={name}:" in environment["FAKE_CUDA"] for name in FREEING)
    known = f"print_suppressions=0:suppressions={program.parent / 'leaks'}"
    quiet = {"LSAN_OPTIONS": known, "ASAN_OPTIONS": f"detect_leaks={int(looks)}"}
    command = [str(program), str(bundle), *(arguments or ("--hash", "1"))]
    return subprocess.run(command, env=environment | quiet, check=False, capture_output=True, text=True, timeout=120)


def assert_refused(result: subprocess.CompletedProcess[str], code: int, words: str) -> None:
    """One line of the host's with a code, and nothing of a sanitiser's."""
    assert result.returncode == code, result.stderr
    assert re.fullmatch(rf"astro-run: .*{words}.*\n", result.stderr), result.stderr


def test_the_golden_trace_agrees(program: Path, folder: Path) -> None:
    """The C host computes on a GPU what the processor's bundle promises, on the GPU that is asked for."""
    environment = driver_environment(folder, devices=2)
    for arguments in ((), ("--device", "1")):
        result = run(program, folder / "gpu.astro", environment, "--golden", *arguments)
        assert (result.returncode, result.stderr) == (0, ""), result.stderr
        assert result.stdout == "tiny for native: all 4 golden ticks agree\n"
    hashes = [
        run(program, folder / bundle, environment, "--hash", "50").stdout for bundle in ("gpu.astro", "cpu.astro")
    ]
    assert hashes[0] == hashes[1] != ""


def test_what_is_missing_is_said(program: Path, folder: Path, tmp_path: Path) -> None:
    """No driver, one without a function, one that is too old, no GPU, no such GPU, and a device for a processor."""
    gpu, cpu = folder / "gpu.astro", folder / "cpu.astro"
    plain = {name: text for name, text in driver_environment(folder).items() if name != "LD_LIBRARY_PATH"}
    if find_library("cuda") is None:  # this machine has none of its own
        assert_refused(run(program, gpu, plain), 51, "no NVIDIA driver here .*libcuda.so.1.*JetPack")
    (tmp_path / "driver.c").write_text("int cuInit(unsigned flags) { return (int)flags; }\n", encoding="ascii")
    options = ["-shared", "-nostdlib", "-fPIC", "driver.c", "-o", DRIVER]
    run_compiler(find_linker(resolve_target("native")), options, tmp_path)
    assert_refused(run(program, gpu, {**plain, "LD_LIBRARY_PATH": str(tmp_path)}), 51, "has no cuDriverGetVersion")
    assert_refused(
        run(program, gpu, driver_environment(folder, driver=10020)), 51, r"for CUDA 10\.2 and .* needs 11\.0"
    )
    assert_refused(run(program, gpu, driver_environment(folder, devices=0)), 51, "finds no GPU")
    there = driver_environment(folder)
    assert_refused(run(program, gpu, there, "--golden", "--device", "3"), 60, "no GPU 3; the driver has 1")
    assert_refused(run(program, cpu, there, "--golden", "--device", "0"), 60, "for native, whose processor computes")
    assert run(program, gpu, there, "--golden", "--device", "x").returncode == 2
    assert_refused(run(program, gpu, there, "--golden", "--threads", "4"), 60, "4 threads, but .* 'tiny' are a GPU's")


def test_a_gpu_that_does_not_do_is_refused(program: Path, folder: Path) -> None:
    """No image for its compute capability, no cooperative launches, too few registers, too little memory."""
    gpu = folder / "gpu.astro"
    assert_refused(run(program, gpu, driver_environment(folder, cc="7.0")), 51, r"no code that runs on .*7\.0.*none is")
    old = driver_environment(folder, driver=11010)  # its PTX is of a version after that
    assert_refused(run(program, gpu, old), 51, r"driver for CUDA 11\.1\): CUDA_ERROR_UNSUPPORTED_PTX_VERSION")
    assert_refused(run(program, gpu, driver_environment(folder, cooperative=0)), 51, "cooperative launch")
    assert_refused(run(program, gpu, driver_environment(folder, occupancy=0)), 51, "too few registers")
    assert_refused(
        run(program, gpu, driver_environment(folder, memory=0)),
        51,
        r"needs [\d.]+ k?B more of the GPU's memory .*0 B in all",
    )


@pytest.mark.parametrize(
    ("capability", "tries"), [("7.2", 2), ("7.5", 1), ("8.6", 1), ("8.7", 2), ("8.9", 1), ("9.0", 1)]
)
def test_code_is_chosen_by_the_capability(
    capability: str, tries: int, program: Path, folder: Path, tmp_path: Path
) -> None:
    """A cubin of that very chip comes before the PTX; these are Jetsons', which no other chip of their number runs."""
    calls = tmp_path / "calls"
    result = run(program, folder / "gpu.astro", driver_environment(folder, cc=capability, calls=calls))
    assert result.returncode == 0, result.stderr
    assert calls.read_text(encoding="ascii").split().count("cuModuleLoadData") == tries


def test_whatever_call_fails_is_an_error(program: Path, folder: Path) -> None:
    """Each function of the driver fails at its first call: one line that names the error, and everything is freed."""
    for name in FUNCTIONS:
        result = run(program, folder / "gpu.astro", driver_environment(folder, [f"{name}:1:{INVALID_VALUE}"]))
        if name in UNUSED | FREEING:
            assert (result.returncode, result.stderr) == (0, ""), (name, result.stderr)
        else:
            assert_refused(result, 1, "CUDA_ERROR_INVALID_VALUE")
