"""Sessions under signals and forks, with arguments that lie, files that change, and where somebody copies them."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astroedge.bundle import weights_memory
from astroedge.errors import AstroEdgeError, BundleError, InputError
from astroedge.runtimes import load
from astroedge.runtimes.library import native_library
from astroedge.runtimes.session.compiled import CompiledSession
from tests.support.bundles import FEATURES, NEURONS, READOUTS, draw_ticks, make_tiny_bundle, one_tick
from tests.support.places import ROOT
from tests.support.teams import TEAM_TICK, team_bundle

pytestmark = pytest.mark.compiles
MANY = 4_000  # signals, of which the run below needs some hundred


@pytest.fixture
def session() -> CompiledSession:
    """A session of the small bundle."""
    return load(make_tiny_bundle())


def test_the_state_is_that_of_the_ticks_counted(session: CompiledSession) -> None:
    """Wherever Ctrl-C falls into a loop of steps, as many ticks are counted as the state has gone through."""
    tick = one_tick()
    states = {}
    for count in range(400):
        states[session.state.tobytes()] = count
        session.step(**tick)
    assert len(states) == 400
    moments = np.random.default_rng(0).uniform(1e-4, 6e-4, 300)
    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    interrupted = 0
    try:
        for moment in moments:
            session.reset()
            session.reset_activity()
            try:
                signal.setitimer(signal.ITIMER_REAL, moment)
                for _ in range(399):
                    session.step(**tick)
            except KeyboardInterrupt:
                interrupted += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert states[session.state.tobytes()] == session.activity()["lif.spikes"].ticks
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    assert interrupted > 50


def test_frequent_signals_do_not_starve_a_run(session: CompiledSession) -> None:
    """The inputs of a run are checked once, however often it stops for a handler."""
    inputs = {name: np.repeat(array, 4000, axis=0) for name, array in draw_ticks(50).items()}
    expected = session.run(**inputs)
    session.reset()
    signals: list[int] = []

    def count(number: int, frame: object) -> None:
        signals.append(number)
        assert len(signals) < MANY, "the run makes no way"

    handler = signal.signal(signal.SIGALRM, count)
    signal.setitimer(signal.ITIMER_REAL, 1e-3, 1e-3)
    try:
        given = session.run(**inputs)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    assert signals
    assert all(np.array_equal(given[name], expected[name]) for name in expected)


def test_sessions_are_not_copied(session: CompiledSession) -> None:
    """A copy would share the stream's memory; each way says so and leaves the session as it was."""
    before = session.step(**one_tick())
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(AstroEdgeError, match="neither copied nor pickled"):
            attempt(session)
    session.reset()
    assert np.array_equal(session.step(**one_tick())["y"], before["y"])


def test_inputs_by_position_are_told_their_names(session: CompiledSession) -> None:
    """`step(x)` is one line with the call as it should be."""
    with pytest.raises(InputError, match=r"session\.step\(token=…, x=…, gate=…\)"):
        session.step(np.zeros(3))
    with pytest.raises(InputError, match=r"session\.run\(token=…"):
        session.run(np.zeros(3))


class Lying(np.ndarray[Any, Any]):
    """An array that says it has the shape that is wanted."""

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]  # that is the lie
        return (1, FEATURES)


class Raising(np.ndarray[Any, Any]):
    """An array that cannot be written to in the end."""

    def __setitem__(self, key: object, value: object) -> None:
        raise RuntimeError("no")


def test_arrays_that_lie_are_seen_as_they_are(session: CompiledSession) -> None:
    """What a subclass says of itself counts for nothing; a refusal leaves state and count."""
    state = session.state.copy()
    lie = np.zeros((3, 5), np.float32).view(Lying)
    with pytest.raises(InputError, match=r"\(3, 5\)"):
        session.step(**{**one_tick(), "x": lie})
    masked = np.ma.masked_array(np.ones((1, FEATURES), np.float32), mask=True)
    with pytest.raises(InputError, match="MaskedArray"):
        session.step(**{**one_tick(), "x": masked})
    with pytest.raises(InputError, match="must be a writeable NumPy array"):
        session.step(**one_tick(), out={"y": np.zeros((READOUTS, 1), np.float32).view(Lying)})
    assert np.array_equal(session.state, state)
    assert session.activity()["lif.spikes"].ticks == 0


def test_out_is_written_after_all_of_it_was_checked(session: CompiledSession) -> None:
    """A subclass whose assignment raises gets the output all the same: its memory is an array's."""
    target = np.zeros((1, READOUTS), np.float32).view(Raising)
    spikes = np.zeros((1, NEURONS), np.bool_)
    expected = session.step(**one_tick())
    session.reset()
    session.step(**one_tick(), out={"y": target, "spikes": spikes})
    assert np.array_equal(np.asarray(target), expected["y"])
    assert np.array_equal(spikes, expected["spikes"])


@pytest.mark.parametrize("ticks", [2**40, 2**57])
def test_runs_that_no_memory_holds_are_refused(session: CompiledSession, ticks: int) -> None:
    """Inputs that take no memory themselves ask for outputs that no machine has."""
    inputs = {name: np.broadcast_to(array[:1], (ticks, *array.shape[1:])) for name, array in draw_ticks(1).items()}
    state = session.state.copy()
    with pytest.raises(InputError, match="run pieces"):
        session.run(**inputs)
    assert np.array_equal(session.state, state)


def test_weights_that_change_on_disk_are_another_sessions(tmp_path: Path) -> None:
    """Written in place or cut to nothing, the file means nothing to a running session; check and load tell of it."""
    folder = tmp_path / "tiny.astro"
    make_tiny_bundle().save(folder)
    weights = next(folder.glob("weights-*"))
    with load(folder) as session, load(folder) as second:
        assert second._memory.weights is session._memory.weights  # type: ignore[union-attr]
        expected = session.run(**draw_ticks(20))
        weights.write_bytes(bytes(weights.stat().st_size))
        with pytest.raises(BundleError, match="does not match its digest"):
            session.bundle.check()
        with pytest.raises(BundleError, match="does not match its digest"):
            load(folder)
        os.truncate(weights, 0)
        given = second.run(**draw_ticks(20))
        assert all(np.array_equal(given[name], expected[name]) for name in expected)


def run_script(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own; argv are the arguments."""
    start = "import os, signal, sys, threading, time\nimport numpy as np\nimport astroedge\n"
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", start + script, *arguments],
        check=False, cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


CROWDED = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
sessions = [astroedge.load(sys.argv[1], trust_weights=count % 2 == 0) for count in range(200)]
taken = []
try:
    while True:
        taken.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
for bundle in (sys.argv[1], sessions[0].bundle):
    for trust in (False, True):
        try:
            astroedge.load(bundle, trust_weights=trust)
        except astroedge.errors.BundleError as error:
            print(error)
inputs = {"token": np.zeros((3, 1), int), "x": np.zeros((3, 1, 8), np.float32), "gate": np.zeros((3, 2), np.float16)}
assert np.array_equal(sessions[0].run(**inputs)["y"], sessions[1].run(**inputs)["y"])
"""


def test_sessions_need_no_descriptors(tmp_path: Path) -> None:
    """Many are open with few descriptors; with none left a load is one line, and what is open computes on."""
    make_tiny_bundle().save(tmp_path / "tiny.astro")
    result = run_script(CROWDED, str(tmp_path / "tiny.astro"))
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert len(lines) == 4
    assert all("as many files open as it may have" in line for line in lines)


TORN = """
session = astroedge.load(sys.argv[1], threads=int(sys.argv[2]))
saved = session.snapshot()
few, many = np.arange(20)[:, None], np.zeros((10**6, 1), np.int64)
expected = session.run(x=few)["y"]
session.restore(saved)
seen = session.states["s"]
before = seen.copy()
threading.Thread(target=lambda: session.run(x=many), daemon=True).start()
while np.array_equal(seen, before):
    time.sleep(0.001)
child = os.fork()
if child == 0:
    code = 1
    try:
        for refused in (lambda: session.step(x=1), session.snapshot, lambda: session.restore(b"x")):
            try:
                refused()
            except astroedge.errors.AstroEdgeError as error:
                print(error, flush=True)
        session.restore(saved)
        code = 0 if np.array_equal(session.run(x=few)["y"], expected) and session.ticks == 20 else 2
        session.close()
    finally:
        os._exit(code)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os._exit(0)
"""

# A signal's handler forks while the thread that it interrupts is between two parts of a run.
FORKING = """
session = astroedge.load(sys.argv[1], threads=int(sys.argv[2]))
inputs = np.arange(3000)[:, None] % 600
expected = session.run(x=inputs)["y"]
session.reset()
children = []
def fork(number, frame):
    signal.setitimer(signal.ITIMER_REAL, 0)
    if not children:
        children.append(os.fork())
signal.signal(signal.SIGALRM, fork)
signal.setitimer(signal.ITIMER_REAL, 0.02)
good = np.array_equal(session.run(x=inputs)["y"], expected)
if children == [0]:
    session.step(x=1)
    session.close()
    os._exit(0 if good else 1)
print(good, os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]))
"""
SLOW_TICK = TEAM_TICK.replace(
    "*outputs = 0;", "*outputs = 0;\n    for (volatile int wait = 0; wait < 20000; wait++) {}"
)


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_fork_in_the_middle_of_a_tick_is_told(tmp_path: Path, threads: str) -> None:
    """A child forked while another thread computes has a state of no tick: it says so, and goes on from a snapshot."""
    team_bundle(source=SLOW_TICK).save(tmp_path / "stirred.astro")
    result = run_script(TORN, str(tmp_path / "stirred.astro"), threads)
    assert (result.returncode, result.stderr) == (0, "")
    step, snapshot, restore, code = result.stdout.splitlines()
    assert step == snapshot
    assert "was forked while another thread computed" in step
    assert "no snapshot" in restore
    assert code == "0"


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_fork_in_a_handler_leaves_two_runs(tmp_path: Path, threads: str) -> None:
    """Where the handler of a signal forks inside `run`, both processes finish it with the same bits."""
    team_bundle(source=SLOW_TICK).save(tmp_path / "stirred.astro")
    result = run_script(FORKING, str(tmp_path / "stirred.astro"), threads)
    assert (result.returncode, result.stderr, result.stdout) == (0, "", "True 0\n")


def test_a_fork_while_another_thread_loads_blocks_nobody(tmp_path: Path) -> None:
    """A child whose parent was in the middle of loading loads for itself."""
    make_tiny_bundle().save(tmp_path / "tiny.astro")
    with native_library._lock, weights_memory._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            try:
                load(tmp_path / "tiny.astro").step(**one_tick())
                os._exit(0)
            finally:
                os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


INTERPRETER = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
code = f'''
import sys
sys.path.insert(0, {os.getcwd()!r})
import astroedge
try:
    astroedge.load({sys.argv[1]!r})
except astroedge.errors.AstroEdgeError as error:
    print(error, flush=True)
'''
interpreters.run_string(interpreters.create(), code)
"""


def test_other_interpreters_are_refused(tmp_path: Path) -> None:
    """In a second interpreter of the process `load` says where sessions run, whatever NumPy thinks of it."""
    make_tiny_bundle().save(tmp_path / "tiny.astro")
    result = run_script(INTERPRETER, str(tmp_path / "tiny.astro"))
    if "No module named '_" in result.stderr:
        pytest.skip("this Python has no way to start an interpreter")
    assert (result.returncode, result.stderr) == (0, "")
    assert "in the main interpreter" in result.stdout
