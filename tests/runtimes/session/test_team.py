"""How many threads a session takes, and what is said of numbers that cannot be."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from typing import Any

import pytest

from astroedge.errors import AstroEdgeError, InputError
from astroedge.runtimes import load
from astroedge.runtimes.session import team
from astroedge.runtimes.session.team import choose_threads, usable_cores
from astroedge.targets.boards.target import resolve_target
from tests.support.bundles import make_tiny_bundle
from tests.support.teams import team_bundle, team_manifest

MANIFEST = team_manifest(resolve_target("native"))


@pytest.mark.parametrize("threads", [0, -1, 65, 2.0, "2", True])
def test_numbers_that_no_team_has_are_refused(threads: Any) -> None:
    """Zero, too many, a fraction, a text and a truth value are errors, not something near them."""
    with pytest.raises(InputError, match="whole number from 1 to 64"):
        load(team_bundle(), threads=threads)


def test_a_small_step_takes_one_thread_and_says_so() -> None:
    """More threads for a library without a tick for them are refused; one, and no number, are fine."""
    bundle = make_tiny_bundle()
    with pytest.raises(InputError, match="too small to gain by a second thread"):
        load(bundle, threads=2)
    for threads in (1, None):
        with load(bundle, threads=threads) as session:
            assert session.threads == 1


def test_a_session_says_how_many_threads_it_has() -> None:
    """As many as asked for, more than there are cores too, and still after it was closed."""
    for threads in (1, 2, 7):
        session = load(team_bundle(), threads=threads)
        assert session.threads == threads
        session.close()
        assert session.threads == threads


def test_left_alone_it_follows_the_manifest_and_the_cores() -> None:
    """Without a number, as many threads as the manifest advises, but no more than this process has cores."""
    cores = usable_cores()
    assert 1 <= cores <= (os.cpu_count() or 1)
    for advised in (1, 2, 64):
        assert choose_threads(replace(MANIFEST, default_threads=advised), None) == min(advised, cores)


@pytest.mark.parametrize(
    ("content", "cores"), [("max 100000\n", 99), ("250000 100000\n", 2), ("50000 100000\n", 1), ("nonsense", 99)]
)
def test_a_control_group_limits_the_cores(
    content: str, cores: int, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container with time on two and a half processors counts as having two, whatever the machine has."""
    (tmp_path / "cpu.max").write_text(content)
    monkeypatch.setattr(team, "_CPU_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(99)))
    assert usable_cores() == cores


def test_a_system_without_threads_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the system starts no more threads, loading fails with advice, and those that ran are dismissed."""
    start, started = threading.Thread.start, threading.active_count()

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "astroedge-worker-3":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(AstroEdgeError, match="no more than 3 of 8 threads"):
        load(team_bundle(), threads=8)
    for thread in threading.enumerate():
        if thread.name.startswith("astroedge-worker"):
            thread.join(20)
    assert threading.active_count() == started
