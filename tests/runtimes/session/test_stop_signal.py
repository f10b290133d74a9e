"""Signals in the middle of a native run: real ones, sent to real processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from astroedge.targets.boards.target import resolve_target
from tests.support.bundles import TINY_TICK, make_bundle, tiny_manifest, weights_bytes
from tests.support.places import ROOT

TICKS = 20_000

# Loads the slow bundle and has a thread that sends a signal as soon as the run is in its 10th tick.
START = f"""
import asyncio, os, signal, sys, threading, time
import numpy as np
import astroedge
session = astroedge.load(sys.argv[1])
counter = session.states["ticks"]
draw = np.random.default_rng(1)
T = {TICKS}
inputs = {{
    "token": draw.integers(0, 16, (T, 1)),
    "x": draw.uniform(-1, 1, (T, 1, 8)).astype(np.float32),
    "gate": np.zeros((T, 2), np.float16),
}}
def send(number, tick=10):
    def wait():
        while counter < tick:
            time.sleep(0.001)
        os.kill(os.getpid(), number)
    threading.Thread(target=wait, daemon=True).start()
"""


@pytest.fixture(scope="module")
def slow_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny layer with ticks of about a tenth of a millisecond."""
    wait = "for (volatile int i = 0; i < 100000; i++) {}\n    *ticks += 1;"
    source = TINY_TICK.replace("*ticks += 1;", wait)
    assert source != TINY_TICK
    target = resolve_target("native")
    path = tmp_path_factory.mktemp("slow") / "slow.astro"
    make_bundle(replace(tiny_manifest(target), model="slow"), source, weights_bytes(), target).save(path)
    return path


def run_script(script: str, bundle: Path) -> subprocess.CompletedProcess[str]:
    """Run START and a script in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", START + script, str(bundle)],
        check=False, cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_ctrl_c_stops_a_run_and_keeps_the_state_consistent(slow_bundle: Path) -> None:
    """SIGINT ends the run between two ticks with KeyboardInterrupt; the state is that of the ticks done."""
    script = """
send(signal.SIGINT)
try:
    session.run(**inputs)
except KeyboardInterrupt:
    done = int(counter)
    assert session.activity()["lif.spikes"].ticks == done, (done, session.activity())
    after = session.state.copy()
    session.reset()
    session.run(**{name: array[:done] for name, array in inputs.items()})
    assert np.array_equal(session.state, after), "not the state of whole ticks"
    session.step(token=1, x=inputs["x"][0], gate=inputs["gate"][0])
    print("stopped after", done)
"""
    result = run_script(script, slow_bundle)
    assert (result.returncode, result.stderr) == (0, "")
    assert 10 <= int(result.stdout.split()[-1]) < TICKS


def test_uncaught_ctrl_c_ends_the_program_as_always(slow_bundle: Path) -> None:
    """A program that does not catch it dies of the interrupt, with Python's own traceback."""
    result = run_script("send(signal.SIGINT)\nsession.run(**inputs)\nprint('not reached')", slow_bundle)
    assert result.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in result.stderr
    assert result.stdout == ""


def test_handler_that_returns_lets_the_run_go_on(slow_bundle: Path) -> None:
    """A signal whose handler raises nothing is handled in the middle of the run, which gives what it always gives."""
    script = """
T = 2000
inputs = {name: array[:T] for name, array in inputs.items()}
expected = session.run(**inputs)
session.reset()
seen = []
signal.signal(signal.SIGUSR1, lambda number, frame: (seen.append(int(counter)), send(signal.SIGUSR1, seen[-1] + 300)))
send(signal.SIGUSR1, 300)
found = session.run(**inputs)
assert all(np.array_equal(found[name], expected[name]) for name in expected)
assert session.activity()["lif.spikes"].ticks == 2 * T
assert len(seen) >= 3 and all(0 < tick < T for tick in seen[:3]), seen
print("handled")
"""
    result = run_script(script, slow_bundle)
    assert (result.returncode, result.stderr, result.stdout) == (0, "", "handled\n")


def test_event_loop_still_gets_its_signals(slow_bundle: Path) -> None:
    """asyncio, which waits on the same descriptor, hears of a signal that came during a run."""
    script = """
async def main():
    heard = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, heard.set)
    send(signal.SIGUSR1)
    session.run(**{name: array[:500] for name, array in inputs.items()})
    await asyncio.wait_for(heard.wait(), 20)
    print("heard")
asyncio.run(main())
assert signal.set_wakeup_fd(-1) == -1
"""
    result = run_script(script, slow_bundle)
    assert (result.returncode, result.stderr, result.stdout) == (0, "", "heard\n")


def test_run_in_another_thread_works(slow_bundle: Path) -> None:
    """Outside the main thread, where Python handles no signals, a run works as everywhere."""
    script = """
inputs = {name: array[:100] for name, array in inputs.items()}
expected = session.run(**inputs)["y"]
session.reset()
found = []
worker = threading.Thread(target=lambda: found.append(session.run(**inputs)["y"]))
worker.start()
worker.join()
assert np.array_equal(found[0], expected)
"""
    result = run_script(script, slow_bundle)
    assert (result.returncode, result.stderr) == (0, "")


def test_forked_child_has_a_flag_of_its_own(slow_bundle: Path) -> None:
    """A signal to a forked child stops the child's run, by a flag that is not in the memory of its parent."""
    script = """
short = {name: array[:50] for name, array in inputs.items()}
session.run(**short)
from astroedge.runtimes.session import stop_signal
parents = stop_signal._flag_of_process
child = os.fork()
if child == 0:
    send(signal.SIGINT, int(counter) + 10)
    try:
        session.run(**inputs)
    except KeyboardInterrupt:
        os._exit(0 if stop_signal._flag_of_process is not parents else 2)
    os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert stop_signal._flag_of_process is parents
"""
    result = run_script(script, slow_bundle)
    assert (result.returncode, result.stderr) == (0, "")
