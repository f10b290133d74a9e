"""Work in a forked child: results and errors come back, crashes become errors, the parent stays as it is."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from astroedge.errors import ExportError, UnsupportedOpError
from astroedge.exporters.shared.child_process import run_in_child, tell_stage


def test_result_comes_back(tmp_path: Path) -> None:
    """What the work returns is returned, arrays included."""
    number, tensor = run_in_child(lambda: (7, torch.arange(3)), tmp_path)
    assert (number, tensor.tolist()) == (7, [0, 1, 2])


def test_objects_of_the_parent_are_not_changed(tmp_path: Path) -> None:
    """Work sees local objects that could not be pickled, and what it does to them stays in the child."""
    local: dict[str, Any] = {"function": lambda: 1}

    def work() -> int:
        local["new"] = True
        return len(local)

    assert run_in_child(work, tmp_path) == 2
    assert list(local) == ["function"]


def test_error_keeps_its_class_and_message(tmp_path: Path) -> None:
    """An exception of the work is raised in the parent."""

    def work() -> NoReturn:
        raise UnsupportedOpError("no such op")

    with pytest.raises(UnsupportedOpError, match=r"^no such op$"):
        run_in_child(work, tmp_path)


def test_error_that_cannot_be_pickled_comes_back_as_text(tmp_path: Path) -> None:
    """An exception that holds something unpicklable still arrives, with its message."""

    class Odd(Exception):
        pass

    def work() -> NoReturn:
        raise Odd("strange")

    with pytest.raises(RuntimeError, match=r"Odd: strange"):
        run_in_child(work, tmp_path)


def test_crash_is_an_error_with_the_last_words(tmp_path: Path) -> None:
    """A segmentation fault is an ExportError that names the signal and what was printed last, and nothing of TVM's.

    TVM prints a C++ trace on a crash once it is loaded, as it is in a program that has compiled something.
    """
    import_module("tvm")

    def work() -> None:
        print("computing node 7", file=sys.stderr, flush=True)  # noqa: T201
        os.kill(os.getpid(), signal.SIGSEGV)

    with pytest.raises(ExportError, match=r"SIGSEGV.*computing node 7"):
        run_in_child(work, tmp_path)


def test_sys_exit_is_an_error_that_says_so(tmp_path: Path) -> None:
    """A model that calls `sys.exit` has not crashed: the message has the code and the line."""
    with pytest.raises(ExportError, match=r"^The model exited at test_child_process\.py:\d+ \(sys\.exit, code 0\)"):
        run_in_child(lambda: sys.exit(0), tmp_path)


def test_exit_is_an_error(tmp_path: Path) -> None:
    """A model that leaves Python altogether is an ExportError with the exit code."""
    with pytest.raises(ExportError, match=r"ended early \(exit code 3\).*os\._exit"):
        run_in_child(lambda: os._exit(3), tmp_path)


def test_prints_of_the_child_are_kept_back(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing that the work prints reaches the terminal."""
    run_in_child(lambda: print("noise"), tmp_path)  # noqa: T201
    assert "noise" not in capfd.readouterr().out


def test_matrix_products_work_after_the_parent_used_threads(tmp_path: Path) -> None:
    """A fork after multi-threaded products in the parent does not hang in the child's own products."""
    a = torch.randn(512, 512)
    (a @ a).sum()
    assert run_in_child(torch.get_num_threads, tmp_path) == 1
    assert run_in_child(lambda: (a @ a).shape, tmp_path) == (512, 512)


def test_a_child_says_what_it_is_at(tmp_path: Path) -> None:
    """What a child tells of its stage reaches the caller while the child runs."""
    told: list[str] = []

    def hear(stage: str) -> None:
        told.append(stage)
        (tmp_path / "heard").touch()

    def work() -> bool:
        tell_stage(tmp_path, "tick 3 of 200")
        while not (tmp_path / "heard").exists():
            pass
        return True

    assert run_in_child(work, tmp_path, hear)
    assert told == ["tick 3 of 200"]
