from __future__ import annotations

import ctypes.util
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from astroedge.errors import TargetError
from astroedge.targets.boards.gpus import find_gpus, gpu_target
from astroedge.targets.boards.target import list_targets, resolve_target
from astroedge.targets.families import FAMILIES
from astroedge.workflows.compile_graph import runs_here
from tests.cuda_emulator.build_driver import build_driver, driver_environment
from tests.support.places import ROOT

BOARDS = [target for target in list_targets() if target.gpu]


@pytest.mark.parametrize("name", [board.name for board in BOARDS])
def test_board_with_a_gpu_names_the_target_of_its_processor(name: str) -> None:
    """What loads the bundle is that processor, whose flags the GPU's target asks for and no others."""
    board = resolve_target(name)
    beside = resolve_target(board.processor)
    assert board.family is FAMILIES["cuda"]
    assert (board.arch, board.triple, board.features) == (beside.arch, beside.triple, beside.features)
    assert min(board.multiprocessors, board.bandwidth_bytes) > 0
    assert not beside.gpu


def test_no_processor_runs_what_a_gpu_computes() -> None:
    """So a compilation for it is checked, and its golden trace made, by the same step compiled for this processor."""
    assert not any(runs_here(board) for board in BOARDS)
    assert not runs_here(resolve_target("cuda:sm_90"))


def test_chips_by_name_stand_beside_this_processor() -> None:
    """Several are built into one bundle, which asks of the processor what every one of its kind has."""
    target = resolve_target("cuda:sm_72,sm_87")
    assert target.gpu == ("sm_72", "sm_87")
    assert target.arch == platform.machine()
    assert target.features == resolve_target(target.processor).features
    assert resolve_target(target) is target


@pytest.mark.parametrize(
    "text", ["cuda:sm_87x", "cuda:87", "cuda:8.7", "cuda:", "cuda:sm_87,", "cuda:sm_72, sm_87", "CUDA:sm_87"]
)
def test_chips_in_another_spelling_are_told_how_they_are_written(text: str) -> None:
    """With an example, where a list of boards would not help."""
    with pytest.raises(TargetError, match=r"names no chips: write them as cuda:sm_87 or cuda:sm_72,sm_87"):
        resolve_target(text)


@pytest.mark.parametrize("text", ["sm_87", "cudaa", "gpu"])
def test_other_text_is_no_gpu(text: str) -> None:
    """And is answered as an unknown target is, with GPUs among what there is."""
    assert gpu_target(text) is None
    with pytest.raises(TargetError, match=r"no target .* Known: native, cuda, cuda:sm_87"):
        resolve_target(text)


def test_chip_without_cooperative_launches_is_refused() -> None:
    """All blocks of the step's one kernel wait for each other, which older chips cannot."""
    with pytest.raises(TargetError, match=r"gpu is 'sm_53'; it must be chips from sm_60 on"):
        resolve_target("cuda:sm_53")


@pytest.mark.compiles
def test_gpu_of_this_machine_is_what_its_driver_shows(tmp_path: Path) -> None:
    """Its chip is built for, beside this very processor; where the driver shows no GPU, or fails, that is said."""
    build_driver(tmp_path)
    code = (
        "from astroedge.targets.boards.target import resolve_target\n"
        "target = resolve_target('cuda'); print(target.gpu, target.name, target.description)"
    )

    def ask(*, fail: Sequence[str] = (), **settings: object) -> str:
        words = [sys.executable, "-c", code]
        environment = driver_environment(tmp_path, fail, **settings)
        result = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        return (result.stdout or result.stderr).splitlines()[-1]

    assert ask(cc="8.7").startswith("('sm_87',) cuda The machine that compiled: ")
    assert "shows no GPU" in ask(devices=0) or "CUDA_ERROR_NO_DEVICE" in ask(devices=0)
    assert "answers CUDA_ERROR_NOT_INITIALIZED (3)" in ask(fail=["cuDeviceGetCount:1:3"])


@pytest.mark.skipif(ctypes.util.find_library("cuda") is not None, reason="this machine has NVIDIA's driver")
def test_machine_without_a_driver_is_told_what_else_it_can_compile_for() -> None:
    """One sentence with what is missing and what works without it."""
    with pytest.raises(TargetError, match=r"no NVIDIA driver \(libcuda.so.1 is not found\).*cuda:sm_87"):
        find_gpus()
    with pytest.raises(TargetError, match="no NVIDIA driver"):
        resolve_target("cuda")
