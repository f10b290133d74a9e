"""What happens to a process happens to its pools: Ctrl-C and other signals, threads that wait, and its end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.bundles import make_tiny_bundle
from tests.support.places import ROOT


def run_script(script: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run a script that finds the tiny layer in argv[1], in a process of its own."""
    make_tiny_bundle().save(tmp_path / "tiny.astro")
    start = (
        "import os, signal, sys, threading, time\nimport numpy as np\nimport astroedge\n"
        "def inputs(*n): return dict(token=np.zeros((*n, 1), np.int64), x=np.ones((*n, 1, 8), np.float32),"
        " gate=np.ones((*n, 2), np.float16))\n"
    )
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", start + script, str(tmp_path / "tiny.astro")],
        check=False, cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_ctrl_c_stops_every_stream_after_whole_ticks(tmp_path: Path) -> None:
    """KeyboardInterrupt ends a run of a pool; each stream has the state of the ticks that it counts, and all go on."""
    script = """
pool = astroedge.load_pool(sys.argv[1], 3, threads=2)
given = {name: np.broadcast_to(a[:, None], (3, 400_000, *a.shape[1:])) for name, a in inputs(3).items()}
seen = pool[0].states["ticks"]
def interrupt():
    while not seen: time.sleep(0.0005)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
try:
    pool.run(**given)
except KeyboardInterrupt:
    for stream in pool:
        assert stream.ticks == int(stream.states["ticks"]), stream.ticks
    assert pool[0].ticks < 400_000
    done = [stream.ticks for stream in pool]
    pool.step(**inputs(3))
    assert [stream.ticks for stream in pool] == [ticks + 1 for ticks in done]
    print("stopped")
"""
    result = run_script(script, tmp_path)
    assert (result.returncode, result.stderr, result.stdout) == (0, "", "stopped\n")


def test_signals_whose_handlers_raise_nothing_change_nothing(tmp_path: Path) -> None:
    """A run goes on after each, to the same outputs; a handler may fork, and the child ends the run, too."""
    script = """
given = {name: np.broadcast_to(a[:, None], (3, 60_000, *a.shape[1:])) for name, a in inputs(3).items()}
with astroedge.load_pool(sys.argv[1], 3, threads=2) as pool:
    expected, state = pool.run(**given)["y"], pool[2].state.copy()
children, calls = [], []
def handle(number, frame):
    calls.append(number)
    if len(calls) == 3: children.append(os.fork())
with astroedge.load_pool(sys.argv[1], 3, threads=2) as pool:
    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    found = pool.run(**given)["y"]
    signal.setitimer(signal.ITIMER_REAL, 0)
    right = np.array_equal(found, expected) and np.array_equal(pool[2].state, state) and len(children) == 1
if children[0] == 0: os._exit(0 if right else 1)
print(right, os.waitpid(children[0], 0)[1])
"""
    result = run_script(script, tmp_path)
    assert (result.returncode, result.stderr, result.stdout) == (0, "", "True 0\n")


def test_idle_threads_cost_nothing_and_keep_no_program_from_ending(tmp_path: Path) -> None:
    """A pool that is not stepped uses next to no processor time, however many threads it has."""
    script = """
pool = astroedge.load_pool(sys.argv[1], 8, threads=8)
pool.run(**{name: np.repeat(a[:, None], 2000, axis=1) for name, a in inputs(8).items()})
time.sleep(0.2)
before = time.process_time()
time.sleep(0.5)
print(time.process_time() - before)
"""
    result = run_script(script, tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert float(result.stdout) < 0.05
