"""Teams, called as any C host would: checks, modes, errors, and races that the thread sanitizer would see."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import threading
from ctypes import byref, sizeof
from pathlib import Path

import numpy as np
import pytest

import astroedge
from astroedge.abi import layout as c
from astroedge.abi.aligned import address_of, aligned_zeros
from astroedge.runtimes.library.native_library import load_library
from astroedge.runtimes.session.team import Team
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.link.linker import Linker, find_linker, run_compiler
from tests.support import elf
from tests.support.bundles import make_tiny_bundle
from tests.support.places import ROOT
from tests.support.teams import SIZE, TEAM_TICK, stirred, team_bundle

SHIM = Path(astroedge.__file__).parent / "targets" / "link" / "shim"
ABI = Path(astroedge.__file__).parent / "abi"
SUPPORT = ROOT / "tests" / "support"
NATIVE = resolve_target("native")
KEPT = """
static uint64_t kept(void)
{
    volatile float tiny = 1e-38f;
    tiny *= 0.1f;
    return tiny > 0;
}

"""
INPUTS = np.random.default_rng(3).integers(0, 600, (40, 1))


class Host:
    """Buffers of the stirred step, a call that points at them, and the inputs of many ticks."""

    def __init__(self, ticks: int = len(INPUTS), source: str = TEAM_TICK) -> None:
        layout = team_bundle(source=source).manifest.layout
        self.library = load_library(team_bundle(source=source).library())
        self.inputs, self.outputs = (aligned_zeros(64 * ticks) for _ in range(2))
        self.state, self.weights = aligned_zeros(layout.state_size), aligned_zeros(64)
        self.workspace = aligned_zeros(layout.workspace_size)
        self.inputs.view(np.int64)[::8] = INPUTS[:ticks, 0]
        self.call = c.AstroCall(size=sizeof(c.AstroCall), steps=ticks, input_stride=64, output_stride=64)
        for name in ("inputs", "outputs", "state", "weights", "workspace"):
            setattr(self.call, name, address_of(getattr(self, name)))

    def run(self, threads: int = 1) -> int:
        """astro_run, by a team if `threads` is not 1."""
        if threads == 1:
            return int(self.library.astro_run(byref(self.call)))
        team = Team(self.library, threads)
        self.call.team = team.address
        try:
            return int(self.library.astro_run(byref(self.call)))
        finally:
            team.dismiss()
            team.join()
            self.call.team = None


@pytest.mark.parametrize("threads", [1, 2, 3, 5, 64])
def test_any_number_of_threads_has_the_same_bits(threads: int) -> None:
    """One thread, more than there are cores and the most there can be compute what NumPy does."""
    host = Host()
    assert host.run(threads) == c.OK
    outputs, state = stirred(INPUTS)
    assert np.array_equal(host.outputs.view(np.uint64)[::8], outputs[:, 0])
    assert np.array_equal(host.state.view(np.uint64), state)


def test_hosts_of_the_time_before_teams_are_served() -> None:
    """A call structure that ends before `team` is computed by the caller alone."""
    host = Host()
    host.call.size = c.AstroCall.team.offset
    host.call.team = 64  # behind the end of what that host has
    assert host.run() == c.OK
    assert np.array_equal(host.state.view(np.uint64), stirred(INPUTS)[1])


def test_wrong_teams_are_refused() -> None:
    """A team of one, of too many, too small or not aligned is a wrong call, and nothing is computed."""
    host = Host()
    memory = aligned_zeros(sizeof(c.AstroTeam) + 64)
    for size, threads, offset in ((8, 2, 0), (sizeof(c.AstroTeam), 1, 0), (sizeof(c.AstroTeam), 65, 0), (9999, 2, 8)):
        team = c.AstroTeam.from_address(address_of(memory) + offset)
        team.size, team.threads = size, threads
        host.call.team = address_of(memory) + offset
        assert host.run() == c.E_CALL
        assert host.library.astro_work(ctypes.c_void_p(host.call.team), 1) == c.E_CALL
        assert host.library.astro_dismiss(ctypes.c_void_p(host.call.team)) == c.E_CALL
    assert not host.state.any()
    assert host.library.astro_dismiss(None) == c.E_CALL
    team = c.AstroTeam.from_address(address_of(memory))
    team.size, team.threads = sizeof(c.AstroTeam), 2
    for index in (0, 2):
        assert host.library.astro_work(ctypes.c_void_p(address_of(memory)), index) == c.E_CALL


def test_libraries_of_small_steps_know_no_teams() -> None:
    """Their library has no entry for workers of a tick, and refuses a team rather than ignore it."""
    small, large = make_tiny_bundle().library(), team_bundle().library()
    entries = elf.OF_A_STEP | elf.OF_A_PROCESSOR
    assert elf.dynamic_symbols(small) == (entries, set())
    assert elf.dynamic_symbols(large) == (entries | {"astro_work"}, set())
    host, memory = Host(), aligned_zeros(sizeof(c.AstroTeam))
    team = c.AstroTeam.from_address(address_of(memory))
    team.size, team.threads = sizeof(c.AstroTeam), 2
    host.library = load_library(small)
    host.call.team = address_of(memory)
    assert host.run() == c.E_CALL


def test_an_error_of_one_thread_ends_the_run_of_all() -> None:
    """The tick that failed does not count, nobody hangs, and the team computes the next one."""
    host = Host()
    host.inputs.view(np.int64)[8 * 17] = 666
    for threads in (2, 5):
        host.call.steps_done = 0
        assert host.run(threads) == c.E_TICK
        assert host.call.steps_done == 17


def test_workers_compute_in_the_mode_of_a_step() -> None:
    """A worker started by a thread that flushes denormals keeps them, and goes back to that mode when dismissed."""
    source = TEAM_TICK.replace("static void make_state", f"{KEPT}static void make_state")
    source = source.replace("state[i] = (workspace[i] >> 7)", "state[i] = !kept() ^ (workspace[i] >> 7)")
    assert "!kept()" in source
    host, modes = Host(source=source), []
    libm = ctypes.CDLL("libm.so.6")

    def start_and_run() -> None:
        flags = (ctypes.c_uint8 * 64)()
        libm.fegetenv(flags)
        if NATIVE.arch == "x86_64":
            ctypes.c_uint32.from_buffer(flags, 28).value |= 0x8040  # MXCSR: flush to zero, denormals are zero
        else:
            ctypes.c_uint32.from_buffer(flags, 0).value |= 1 << 24  # FPCR
        libm.fesetenv(flags)
        modes.append(host.run(3))

    runner = threading.Thread(target=start_and_run)
    runner.start()
    runner.join()
    assert modes == [c.OK]
    assert np.array_equal(host.state.view(np.uint64), stirred(INPUTS)[1])


@pytest.mark.parametrize("sanitizer", [[], ["-fsanitize=thread"]], ids=["plain", "thread sanitizer"])
def test_stress(sanitizer: list[str], tmp_path: Path) -> None:
    """Teams of two to six give the same number over many ticks, asleep or awake between them, without a data race."""
    compiler = shutil.which("gcc")
    linker = find_linker(NATIVE) if not sanitizer else Linker((compiler or "gcc",), "gcc")
    source = tmp_path / "team_tick.c"
    source.write_text(f"#define TEAM\n{TEAM_TICK}")
    files = [str(SUPPORT / "stress_team.c"), str(SHIM / "team.c"), str(source)]
    options = ["-std=c11", "-O1", "-g", "-Wall", "-DASTROEDGE_TEAM", f"-I{SHIM}", f"-I{ABI}", "-pthread", *sanitizer]
    try:
        run_compiler(linker, [*options, *files, "-o", "stress"], tmp_path)
    except (OSError, astroedge.errors.LinkError):
        if not sanitizer:
            raise
        pytest.skip("needs gcc with the thread sanitizer")
    result = subprocess.run([tmp_path / "stress"], check=False, capture_output=True, text=True, timeout=120)
    if "unexpected memory mapping" in result.stderr:
        pytest.skip("the thread sanitizer does not run under this kernel")
    assert (result.returncode, result.stderr) == (0, "")
    expected = 0
    for folded in stirred(np.arange(300)[:, None])[0][:, 0].tolist():
        expected = (expected * 31 + folded) % 2**64
    assert result.stdout.split() == [f"{expected:x}"] * 5
    assert SIZE == 1024
