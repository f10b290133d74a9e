"""The fake driver: what a GPU would do, and what only a stricter one does."""

from __future__ import annotations

import ctypes
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.cuda_emulator.build_driver import build_driver, driver_environment
from tests.cuda_emulator.compile_c import HERE
from tests.cuda_emulator.driver_calls import Driver, DriverError, settings
from tests.support.places import ROOT

SHIM = ROOT / "targets" / "link" / "shim"
PTX = """
.version 7.4
.target sm_72
.address_size 64
.visible .entry add_one(.param .u64 numbers, .param .u32 by)
{
    .reg .b64 %at, %l0; .reg .b32 %r<4>;
    ld.param.u64 %at, [numbers]; ld.param.u32 %r2, [by];
    mov.u32 %r0, %tid.x; mul.wide.u32 %l0, %r0, 4; add.s64 %at, %at, %l0;
    ld.global.u32 %r1, [%at]; add.u32 %r1, %r1, %r2; st.global.u32 [%at], %r1;
    ret;
}
.visible .entry racing(.param .u64 numbers)
{
    .reg .b64 %at; .reg .b32 %r0;
    ld.param.u64 %at, [numbers]; mov.u32 %r0, %tid.x; st.global.u32 [%at+4], %r0;
    ret;
}
.visible .entry trapped() { trap; }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver, and what is made of PTX."""
    folder = tmp_path_factory.mktemp("driver")
    build_driver(folder)
    return folder


@pytest.fixture
def driver(folder: Path) -> Iterator[Driver]:
    """The driver in this process."""
    with settings(folder):
        driver = Driver(build_driver(folder))
        yield driver
        driver.close()


def in_a_process(folder: Path, code: str, **words: object) -> subprocess.CompletedProcess[str]:
    """Run Python in a process that finds the driver as any program does, by its name."""
    head = "import ctypes, os\ncuda = ctypes.CDLL('libcuda.so.1')\n"
    variables = driver_environment(folder, **words)
    command = [sys.executable, "-c", head + code]
    return subprocess.run(command, env=variables, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_kernel_of_ptx_runs_and_its_work_waits_for_a_synchronisation(driver: Driver) -> None:
    """Copies and launches on a stream are done in their order when somebody waits, with the arguments they had."""
    given = np.arange(4, dtype=np.uint32)
    at = driver.upload(given)
    function = driver.load(PTX, "add_one")
    by = ctypes.c_uint32(10)
    driver.launch(function, 1, 4, at, by)
    by.value = 99
    result = np.zeros_like(given)
    address = ctypes.c_void_p(result.ctypes.data)
    driver("cuMemcpyDtoHAsync_v2", address, at, ctypes.c_size_t(result.nbytes), driver.stream)
    assert result.tolist() == [0, 0, 0, 0]
    assert driver.download(at, given).tolist() == [0, 1, 2, 3]  # this call does not wait for the stream
    driver.wait()
    assert result.tolist() == [10, 11, 12, 13]


def test_pinned_memory_has_two_addresses_and_the_same_bytes(driver: Driver) -> None:
    """A kernel is given the device's; what it writes is seen by the host at its own."""
    host, device = driver.pinned(16)
    assert host != device
    numbers = np.frombuffer((ctypes.c_char * 16).from_address(host), np.uint32)
    numbers[:] = 5
    driver.launch(driver.load(PTX, "add_one"), 1, 4, ctypes.c_uint64(device), ctypes.c_uint32(1))
    driver.wait()
    assert numbers.tolist() == [6, 6, 6, 6]


def test_memory_is_what_was_asked_for(driver: Driver) -> None:
    """Fresh memory holds no zeros; a copy that leaves an allocation is refused, and what was freed is gone."""
    at = driver.allocate(256)
    assert driver.download(at, np.zeros(256, np.uint8)).tolist() == [0xA5] * 256
    spare = np.zeros(512, np.uint8)
    assert driver.code("cuMemcpyDtoH_v2", ctypes.c_void_p(spare.ctypes.data), at, ctypes.c_size_t(512)) == 1
    driver("cuMemFree_v2", at)
    assert driver.code("cuMemFree_v2", at) == 1
    assert driver.code("cuMemAlloc_v2", ctypes.byref(at), ctypes.c_size_t(0)) == 1


@pytest.mark.parametrize("end", [0, 256])
def test_the_host_cannot_touch_device_memory(folder: Path, end: int) -> None:
    """Neither an allocation nor what lies behind it: reading either ends the process."""
    code = f"""
at, context = ctypes.c_uint64(), ctypes.c_void_p()
cuda.cuInit(0), cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0), cuda.cuCtxSetCurrent(context)
assert cuda.cuMemAlloc_v2(ctypes.byref(at), ctypes.c_size_t(200)) == 0
ctypes.string_at(at.value + {end}, 1)
"""
    assert in_a_process(folder, code).returncode == -signal.SIGSEGV


@pytest.mark.parametrize(
    ("image", "words", "error"),
    [
        (b"\x7fELF" + bytes(60), {}, "NO_BINARY_FOR_GPU"),
        (b"nothing\0", {}, "INVALID_IMAGE"),
        (PTX.encode() + b"\0", {"cc": "6.1"}, "INVALID_PTX"),
        (PTX.encode() + b"\0", {"driver": 11030}, "UNSUPPORTED_PTX_VERSION"),
        (PTX.replace("add.u32", "fma.rn.f32").encode() + b"\0", {}, "INVALID_PTX"),
    ],
)
def test_images_that_are_not_for_this_gpu_are_refused(
    folder: Path, driver: Driver, image: bytes, words: dict[str, object], error: str
) -> None:
    """Machine code, other bytes, PTX for newer chips or newer drivers, and PTX that is not exact."""
    with settings(folder, **words), pytest.raises(DriverError, match=error):
        driver.load(image, "add_one")


def test_launches_that_a_gpu_refuses_are_refused(folder: Path, driver: Driver) -> None:
    """More blocks than run at once, more threads than a block has, and a chip that has no cooperative launches."""
    function = driver.load(PTX, "add_one")
    arguments = (driver.allocate(4096), ctypes.c_uint32(1))
    with pytest.raises(DriverError, match="COOPERATIVE_LAUNCH_TOO_LARGE"):
        driver.launch(function, 5, 32, *arguments)
    with pytest.raises(DriverError, match="INVALID_VALUE"):
        driver.launch(function, 1, 1025, *arguments)
    with settings(folder, sms=3):
        driver.launch(function, 6, 32, *arguments)
    with settings(folder, cooperative=0), pytest.raises(DriverError, match="NOT_SUPPORTED"):
        driver.launch(function, 1, 32, *arguments)
    with pytest.raises(DriverError, match="NOT_FOUND"):
        driver.load(PTX, "add_two")


def test_an_error_of_a_kernel_stays_with_the_context(folder: Path, driver: Driver) -> None:
    """Every later call gives it, until the context is made anew."""
    driver.launch(driver.load(PTX, "trapped"), 1, 1)
    with pytest.raises(DriverError, match="LAUNCH_FAILED"):
        driver.wait()
    with pytest.raises(DriverError, match="LAUNCH_FAILED"):
        driver.allocate(4)
    driver.close()
    fresh = Driver(build_driver(folder))
    fresh.allocate(4)


def test_a_kernel_that_leaves_its_memory_is_an_error(driver: Driver) -> None:
    """The pages behind an allocation are not there: the process goes on, the context does not."""
    driver.launch(driver.load(PTX, "add_one"), 1, 128, driver.allocate(256), ctypes.c_uint32(1))
    with pytest.raises(DriverError, match="ILLEGAL_ADDRESS"):
        driver.wait()


def test_races_are_told_where_they_are_looked_for(folder: Path, driver: Driver, tmp_path: Path) -> None:
    """The launch fails, and the log says which allocation it is about."""
    log = tmp_path / "calls"
    with settings(folder, races=1, calls=log):
        driver.launch(driver.load(PTX, "racing"), 1, 2, driver.allocate(256))
        with pytest.raises(DriverError, match="LAUNCH_FAILED"):
            driver.wait()
    told = r"race: thread 1 of block 0 writes byte 0x4 of allocation \d+ \(256 bytes of the device\), which thread 0"
    assert re.search(told, log.read_text())


def test_memory_ends_where_the_gpu_ends(folder: Path, driver: Driver) -> None:
    """Out of memory is an error like others: the next call may succeed."""
    with settings(folder, memory=1):
        driver.allocate(1 << 19)
        with pytest.raises(DriverError, match="OUT_OF_MEMORY"):
            driver.allocate((1 << 19) + 256)
        driver.allocate(1 << 19)


def test_calls_fail_where_they_are_told_to_and_are_logged(folder: Path, tmp_path: Path) -> None:
    """The second allocation of a process fails, and only that; what is never freed is told when the context ends."""
    code = """
at, context = ctypes.c_uint64(), ctypes.c_void_p()
cuda.cuInit(0), cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0), cuda.cuCtxSetCurrent(context)
print([cuda.cuMemAlloc_v2(ctypes.byref(at), ctypes.c_size_t(256)) for _ in range(3)])
cuda.cuMemFree_v2(at), cuda.cuDevicePrimaryCtxRelease_v2(0)
"""
    log = tmp_path / "calls"
    assert in_a_process(folder, code, fail=["cuMemAlloc_v2:2:2"], calls=log).stdout == "[0, 2, 0]\n"
    assert log.read_text().splitlines() == [
        *("cuInit", "cuDevicePrimaryCtxRetain", "cuCtxSetCurrent", "cuMemAlloc_v2", "cuMemAlloc_v2"),
        *("cuMemAlloc_v2 fails with 2", "cuMemAlloc_v2", "cuMemFree_v2", "cuDevicePrimaryCtxRelease_v2"),
        "left: 256 bytes of the device",
    ]


def test_nothing_works_before_cuinit_nor_after_a_fork(folder: Path) -> None:
    """CUDA does not survive a fork: in the child every call says that it is not initialised."""
    code = """
count = ctypes.c_int()
count_devices = lambda: cuda.cuDeviceGetCount(ctypes.byref(count))
print(count_devices(), cuda.cuInit(0), count_devices(), flush=True)
child = os.fork()
if child == 0:
    os._exit(10 * cuda.cuInit(0) + count_devices())
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert in_a_process(folder, code).stdout == "3 0 0\n33\n"


def test_a_machine_without_a_gpu_says_so(folder: Path) -> None:
    """cuInit tells that there is no device."""
    assert in_a_process(folder, "print(cuda.cuInit(0))", devices=0).stdout == "100\n"


def test_a_context_is_current_in_one_thread(driver: Driver) -> None:
    """Another thread has none, and what it pushes and pops changes nothing here."""
    codes: list[int] = []

    def other() -> None:
        at, context = ctypes.c_uint64(), ctypes.c_void_p()
        size = ctypes.c_size_t(4)
        codes.append(driver.code("cuMemAlloc_v2", ctypes.byref(at), size))
        codes.append(driver.code("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0))
        codes.append(driver.code("cuCtxPushCurrent_v2", context))
        codes.append(driver.code("cuMemAlloc_v2", ctypes.byref(at), size))
        codes.append(driver.code("cuCtxPopCurrent_v2", ctypes.byref(context)))
        codes.append(driver.code("cuMemAlloc_v2", ctypes.byref(at), size))
        codes.append(driver.code("cuDevicePrimaryCtxRelease_v2", 0))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert codes == [201, 0, 0, 0, 0, 201, 0]
    driver.allocate(4)


def test_the_events_of_a_stream_tell_time(driver: Driver) -> None:
    """A pair gives a time once both have passed, and an error before."""
    events = [ctypes.c_void_p(), ctypes.c_void_p()]
    time = ctypes.c_float(-1)
    for event in events:
        driver("cuEventCreate", ctypes.byref(event), 0)
    assert driver.code("cuEventElapsedTime", ctypes.byref(time), *events) == 400
    for event in events:
        driver("cuEventRecord", event, driver.stream)
    assert driver.code("cuEventElapsedTime", ctypes.byref(time), *events) == 600
    driver.wait()
    driver("cuEventElapsedTime", ctypes.byref(time), *events)
    assert time.value >= 0


def test_the_driver_has_every_call_that_the_shim_makes() -> None:
    """And what else the shim comes to need has to be added here before it can be tested."""
    exported = {
        name
        for path in (HERE / "driver").glob("*.c")
        for name in re.findall(r"^API \w+ (cu\w+)", path.read_text(), re.M)
    }
    named = {name for path in SHIM.glob("*.[ch]") for name in re.findall(r"\bcu[A-Z]\w+", path.read_text())}
    assert named <= exported
    assert {"cuInit", "cuLaunchCooperativeKernel"} <= exported
