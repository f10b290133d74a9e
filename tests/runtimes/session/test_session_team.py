"""A session's threads from loading to the end: closed, collected, forked, interrupted, at exit."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from astroedge.errors import AstroEdgeError
from astroedge.runtimes import load
from tests.support.places import ROOT
from tests.support.teams import TEAM_TICK, stirred, team_bundle

INPUTS = np.random.default_rng(9).integers(0, 600, (30, 1))
WORKER = "astroedge-worker"


def workers() -> list[threading.Thread]:
    """The worker threads of all sessions."""
    return [thread for thread in threading.enumerate() if thread.name.startswith(WORKER)]


def test_a_hundred_sessions_leave_no_thread() -> None:
    """Closing joins the workers; a session after the other starts and ends its own."""
    for count in range(100):
        with load(team_bundle(), threads=2 + count % 3) as session:
            assert len(workers()) == session.threads - 1
            session.step(x=count)
        assert workers() == []
    session.close()  # again: nothing happens
    with pytest.raises(AstroEdgeError, match="closed"):
        session.step(x=1)


def test_a_session_that_nobody_holds_lets_its_threads_go() -> None:
    """Without `close`, too, the workers end when the session is collected."""
    session = load(team_bundle(), threads=3)
    session.step(x=1)
    ending = workers()
    assert len(ending) == 2
    del session
    gc.collect()
    for thread in ending:
        thread.join(20)
        assert not thread.is_alive()


def test_sessions_in_several_threads_have_teams_of_their_own() -> None:
    """Four Python threads, each with a session of two threads, compute at the same time and do not disturb another."""
    results: dict[int, np.ndarray] = {}

    def compute(seed: int) -> None:
        inputs = np.random.default_rng(seed).integers(0, 600, (30, 1))
        with load(team_bundle(), threads=2) as session:
            parts = [session.run(x=inputs[:20])["y"], *(session.step(x=row)["y"][None] for row in inputs[20:])]
            results[seed] = np.concatenate(parts)

    threads = [threading.Thread(target=compute, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, outputs in results.items():
        inputs = np.random.default_rng(seed).integers(0, 600, (30, 1))
        assert np.array_equal(outputs.view(np.uint64), stirred(inputs)[0])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_both_processes_go_on_after_a_fork() -> None:
    """The child, which has none of the parent's threads, starts its own at its first tick; both give the right bits."""
    expected = stirred(INPUTS)[0]
    with load(team_bundle(), threads=3) as session:
        first = session.run(x=INPUTS[:10])["y"]
        child = os.fork()
        if child == 0:
            code = 1
            try:
                rest = session.run(x=INPUTS[10:])["y"]
                if np.array_equal(np.concatenate([first, rest]).view(np.uint64), expected) and len(workers()) == 2:
                    session.close()
                    code = 0 if not workers() else 2
            finally:
                os._exit(code)
        rest = session.run(x=INPUTS[10:])["y"]
        assert np.array_equal(np.concatenate([first, rest]).view(np.uint64), expected)
        assert os.waitpid(child, 0)[1] == 0


def run_script(script: str, tmp_path: Path, source: str = TEAM_TICK) -> subprocess.CompletedProcess[str]:
    """Run a script that finds the stirred step in argv[1], in a process of its own."""
    folder = tmp_path / "stirred.astro"
    team_bundle(source=source).save(folder)
    start = "import os, signal, sys, threading, time\nimport numpy as np\nimport astroedge\n"
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", start + script, str(folder)],
        check=False, cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


SLOW_TICK = TEAM_TICK.replace(
    "*outputs = 0;", "*outputs = 0;\n    for (volatile int wait = 0; wait < 100000; wait++) {}"
)


def test_ctrl_c_stops_a_team_between_ticks(tmp_path: Path) -> None:
    """SIGINT ends a run of a team with KeyboardInterrupt after whole ticks, and the session goes on."""
    script = """
session = astroedge.load(sys.argv[1], threads=3)
inputs = np.arange(20_000)[:, None]
seen = session.states["s"]
before = seen.copy()
def interrupt():
    while np.array_equal(seen, before):
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
try:
    session.run(x=inputs)
except KeyboardInterrupt:
    state, done = session.state.copy(), 0
    with astroedge.load(sys.argv[1], threads=1) as alone:
        while not np.array_equal(alone.state, state):
            alone.step(x=inputs[done])
            done += 1
    session.step(x=1)
    print("stopped after", done)
"""
    result = run_script(script, tmp_path, SLOW_TICK)
    assert (result.returncode, result.stderr) == (0, "")
    assert 1 <= int(result.stdout.split()[-1]) < 20_000


@pytest.mark.parametrize(
    "script",
    [
        "session.step(x=1)",
        "session.step(x=1)\nsys.exit(3)",
        "session.step(x=1)\nraise SystemExit(3)",
        # A session in use by a daemon thread when the interpreter exits.
        "def go_on():\n    while True:\n        session.step(x=1)\n"
        "threading.Thread(target=go_on, daemon=True).start()\ntime.sleep(1)",
        # A forked process that ends like any other, before or after it computed something.
        "session.step(x=1)\nif os.fork() == 0:\n    sys.exit(0)\nassert os.wait()[1] == 0",
        "session.step(x=1)\nif os.fork() == 0:\n    session.step(x=1)\n    sys.exit(0)\nassert os.wait()[1] == 0",
    ],
    ids=["at the end", "sys.exit", "exception", "daemon thread", "idle child", "working child"],
)
def test_programs_end_although_a_session_is_open(script: str, tmp_path: Path) -> None:
    """No worker keeps a process from ending, or makes it crash on its way out."""
    result = run_script(f"session = astroedge.load(sys.argv[1], threads=4)\n{script}\n", tmp_path)
    assert (result.returncode, result.stderr) == (3 if "3" in script else 0, "")


def test_worker_processes_of_a_pool_compute_with_threads(tmp_path: Path) -> None:
    """multiprocessing with fork: every worker process goes on with the session it inherited, with its own threads."""
    script = """
import multiprocessing
session = astroedge.load(sys.argv[1], threads=2)
session.step(x=5)
saved = session.state.copy()
def compute(x):
    session.state = saved
    return int(session.step(x=x)["y"][0])
with multiprocessing.get_context("fork").Pool(2) as pool:
    found = pool.map(compute, range(8))
print(found == [compute(x) for x in range(8)])
"""
    result = run_script(script, tmp_path)
    assert (result.returncode, result.stderr, result.stdout) == (0, "", "True\n")


def test_idle_threads_cost_nothing(tmp_path: Path) -> None:
    """A session that is not stepped uses next to no processor time, however many threads it has."""
    script = """
session = astroedge.load(sys.argv[1], threads=8)
session.step(x=1)
time.sleep(0.2)
before = time.process_time()
time.sleep(1)
print(time.process_time() - before)
"""
    result = run_script(script, tmp_path)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 0.1
