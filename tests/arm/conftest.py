"""The emulated board, the demo model's graph, and every bundle run once on it: one process for all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import torch

import astroedge
from astroedge.models import load_checkpoint
from astroedge.models.astrosnn import AstroSNNStep
from astroedge.step.graph import StepGraph
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.link.linker import find_linker
from tests.support import graphs, networks
from tests.support.arm_root import ArmRoot
from tests.support.board import (
    BOARD,
    BOARD32,
    CASES32,
    HARD_CASES,
    MOVED,
    NETWORKS32,
    TICKS,
    Board,
    Result,
    inputs_of,
    later_half,
    stream_after_half,
    write_case,
)
from tests.support.builds import build, build_for_teams, build_of
from tests.support.c_host import build_c_host
from tests.support.conversions import conversions, numbers_to_convert
from tests.support.every_function import every_function, function_inputs
from tests.support.places import ROOT
from tests.support.run_bundle import run_bundle


@pytest.fixture(scope="session")
def demo_graph() -> StepGraph:
    """The example language model, trained."""
    step = AstroSNNStep(load_checkpoint(ROOT / "examples" / "char_lm" / "astrosnn.safetensors"))
    text = torch.from_numpy(np.frombuffer(Path(__file__).read_bytes(), np.uint8)[:200].astype(np.int64))
    return astroedge.export(step, (text[:1],), step.initial_state(), examples=[(byte,) for byte in text[:, None]])


@pytest.fixture(scope="session")
def demo_inputs() -> dict[str, np.ndarray]:
    """Bytes of text for `TICKS` ticks."""
    text = (ROOT / "tests" / "support" / "arm_root.py").read_bytes()
    return {"token": np.frombuffer(text, np.uint8)[:TICKS].astype(np.int64)[:, None]}


@pytest.fixture(scope="session")
def board(
    root: ArmRoot,
    demo_graph: StepGraph,
    demo_inputs: dict[str, np.ndarray],
    tmp_path_factory: pytest.TempPathFactory,
) -> Board:
    """Every case compiled for the board and run there by the Python runtime."""
    place = tmp_path_factory.mktemp("board")
    cases = {"demo": (astroedge.compile(demo_graph, BOARD), demo_inputs)}
    cases |= {name: (build_of(builder, BOARD), inputs_of(builder)) for name, builder in HARD_CASES.items()}
    for target in ("raspberry-pi-5", "x86-64-v2"):
        cases[target] = (build_of(graphs.lif_layer, target), inputs_of(graphs.lif_layer))
    cases["functions"] = (build_of(every_function, BOARD), function_inputs())
    folders = {name: write_case(place / name, *case) for name, case in cases.items()}
    divided = build_for_teams(graphs.recurrent_net(), BOARD)
    folders["threads"] = write_case(place / "threads", divided, inputs_of(graphs.recurrent_net), threads=2)
    folders["moved"] = write_case(place / "moved", build_of(MOVED, BOARD), later_half(inputs_of(MOVED)))
    (folders["moved"] / "snapshot").write_bytes(stream_after_half(build_of(MOVED, "native"), inputs_of(MOVED)))
    script = ROOT / "tests" / "support" / "run_bundle.py"
    finished = root.run(root.python, script, *folders.values())
    assert finished.returncode == 0, finished.stderr
    return Board(root, folders, json.loads(finished.stdout))


@pytest.fixture(scope="session")
def board32(root32: ArmRoot, tmp_path_factory: pytest.TempPathFactory) -> Board:
    """Every case compiled for a 32-bit board and run there by the Python runtime."""
    place = tmp_path_factory.mktemp("board32")
    cases = {"golden": (astroedge.compile(MOVED(), BOARD32), inputs_of(MOVED))}
    for name, (builder, inputs) in CASES32.items():
        cases[name] = (build_of(builder, BOARD32), inputs())
    for name in NETWORKS32:
        cases[name] = (networks.bundle_of(name, BOARD32), networks.inputs_of(name, NETWORKS32[name]))
    cases["any board"] = (build_of(conversions, "armv7"), numbers_to_convert())
    for target in ("raspberry-pi-3-32bit", "raspberry-pi-4"):
        cases[target] = (build_of(graphs.lif_layer, target), inputs_of(graphs.lif_layer))
    folders = {name: write_case(place / name, *case) for name, case in cases.items()}
    divided = build_for_teams(graphs.recurrent_net(), BOARD32)
    folders["threads"] = write_case(place / "threads", divided, inputs_of(graphs.recurrent_net), threads=2)
    folders["moved"] = write_case(place / "moved", build_of(MOVED, BOARD32), later_half(inputs_of(MOVED)))
    (folders["moved"] / "snapshot").write_bytes(stream_after_half(build_of(MOVED, "native"), inputs_of(MOVED)))
    finished = root32.run(root32.python, ROOT / "tests" / "support" / "run_bundle.py", *folders.values())
    assert finished.returncode == 0, finished.stderr
    return Board(root32, folders, json.loads(finished.stdout))


@pytest.fixture(scope="session")
def astro_run32(root32: ArmRoot, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., CompletedProcess[str]]:
    """The C host, built for the 32-bit board and run there; a function of its arguments."""
    host = build_c_host(find_linker(resolve_target(BOARD32)), tmp_path_factory.mktemp("host"), "-O2")
    return lambda *arguments: root32.run(host, *arguments)


@pytest.fixture(scope="session")
def astro_run(root: ArmRoot, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., CompletedProcess[str]]:
    """The C host, built for the board and run there; a function of its arguments."""
    host = build_c_host(find_linker(resolve_target(BOARD)), tmp_path_factory.mktemp("host"), "-O2")
    return lambda *arguments: root.run(host, *arguments)


@pytest.fixture
def run_here(tmp_path: Path) -> Callable[[StepGraph, str, dict[str, np.ndarray]], Result]:
    """Compile a graph for a target of this machine and run it as the board does."""
    return lambda graph, target, inputs: run_bundle(write_case(tmp_path / target, build(graph, target), inputs))
