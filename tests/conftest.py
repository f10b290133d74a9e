"""Settings and marks for every test, and bundles that many tests share.

Property tests draw the same examples on every run and on slow machines. Whether a test compiles, runs in an emulator or
needs a framework is found from its code (tests/support/marks.py); what compiles unseen fails without the mark.
"""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.arm_root import ARM64, ARMHF, ArmRoot, NoArmRootError, System, arm_root
from tests.support.command import Command, Outcome
from tests.support.marks import marks_of, watch_compilers
from tests.support.ssh_boards import NoServerError, SshBoards, bare_tools, python_tools, ssh_boards

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("repeatable")

# A shell has what it starts in the background ignore Ctrl-C, and children inherit that; the tests of Ctrl-C send it.
signal.signal(signal.SIGINT, signal.default_int_handler)

TRACER = "torch._export.utils"
RUNNING: list[pytest.Item] = []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test its marks, before `-m` chooses among them."""
    for item in items:
        if isinstance(item, pytest.Function):
            for mark in marks_of(item):
                item.add_marker(mark)


def pytest_collection_finish() -> None:
    """Everything is imported that tests compile with; no collection of garbage looks at it again."""
    watch_compilers(_demand)
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Know which test runs."""
    RUNNING[:] = [item]
    if TRACER in sys.modules:
        _spare_forks()
    return (yield)


@cache
def _spare_forks() -> None:
    """Once PyTorch's tracer is there, do here what every child that traces would do again: a third of its time.

    A child that collects garbage looks at, and copies, all that its parent has imported; and PyTorch asks its operators
    four times a trace which of them it need not take apart, of which only those of `aten` are kept.
    """
    tracer = sys.modules[TRACER]
    collect = getattr(tracer, "_collect_all_valid_cia_ops_for_namespace", None)
    if collect is not None:
        tracer._collect_all_valid_cia_ops_for_namespace = cache(collect)  # type: ignore[attr-defined]
        tracer._collect_all_valid_cia_ops()
    gc.collect()
    gc.freeze()


def _demand(mark: str) -> None:
    """Fail where marks choose among the tests and the one that runs lacks a mark; where all run, say so.

    Which of several tests compiles what they share depends on their order, and an order must not fail a full run.
    """
    if RUNNING and RUNNING[0].get_closest_marker(mark) is None:
        message = f"{RUNNING[0].nodeid} must be marked: @pytest.mark.{mark}"
        if RUNNING[0].config.option.markexpr:
            pytest.fail(message)
        warnings.warn(pytest.PytestWarning(message), stacklevel=1)


@dataclass(frozen=True)
class Compiled:
    """A step graph's file and its bundle's folder, for this machine; tests copy them before they change anything."""

    graph: Path
    bundle: Path


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Compiled]:
    """Compile a graph of tests/support/graphs.py by its builder's name, "token_net:256" with an argument; each once."""
    folder = tmp_path_factory.mktemp("compiled")

    @cache
    def build(name: str) -> Compiled:
        # Imported here, so that tests which need no compiler run where there is none.
        from astroedge.workflows.compile_graph import compile
        from tests.support import graphs

        builder, _, argument = name.partition(":")
        graph = getattr(graphs, builder)(*([int(argument)] if argument else []))
        made = Compiled(folder / f"{builder}.onnx", folder / f"{builder}.astro")
        graph.save(made.graph)
        compile(graph).save(made.bundle)
        return made

    return build


@pytest.fixture(scope="session", autouse=True)
def quick_exports() -> None:
    """Have PyTorch read the signatures of its 497 ONNX functions once; it does so at every export, half a second long.

    Of what is read an export uses names alone. Forked children find it there.
    """
    if find_spec("onnxscript") is not None:
        from onnxscript._internal.values import TracedOnnxFunction

        signature = TracedOnnxFunction.function_ir
        if isinstance(signature, property) and signature.fget is not None:
            TracedOnnxFunction.function_ir = property(cache(signature.fget))


@pytest.fixture(scope="session")
def root() -> ArmRoot:
    """A 64-bit ARM userland; without one the tests are skipped, but not in CI, where they must run."""
    return _userland(ARM64)


@pytest.fixture(scope="session")
def root32() -> ArmRoot:
    """A 32-bit ARM userland, in the same way."""
    return _userland(ARMHF)


def _userland(system: System) -> ArmRoot:
    try:
        return arm_root(system)
    except NoArmRootError as error:
        if "CI" in os.environ:
            pytest.fail(f"ARM bundles must be run in CI: {error}")
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshBoards]:
    """An SSH server with two boards, `bare` without Python and `python` with NumPy; skipped without one, but in CI."""
    # Imported here, so that tests which need no compiler run where there is none.
    from astroedge.targets.link.static_runtime import CACHE
    from tests.support.executables import STATIC_RUNTIME

    folder = tmp_path_factory.mktemp("ssh") / "boards"
    try:
        with ssh_boards(folder) as made, pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", f"{made.program}:{os.environ['PATH']}")
            patch.setenv(CACHE, str(STATIC_RUNTIME))
            made.add("bare", "sh -c", PATH=bare_tools(folder / "bare-tools"))
            made.add("python", "sh -c", PATH=python_tools(folder / "python-tools"))
            yield made
    except NoServerError as error:
        if "CI" in os.environ:
            pytest.fail(f"Boards must be reached by SSH in CI: {error}")
        pytest.skip(str(error))


@pytest.fixture
def astroedge_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run `astroedge` with these arguments and this text on standard input."""
    from astroedge.cli import main

    def run(*arguments: str | Path, stdin: str = "") -> Outcome:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run
