"""The table of the study on a GPU; what it measures needs one."""

from __future__ import annotations

import ctypes.util

import pytest

from benchmarks.studies import gpu
from tests.benchmarks.records import MACHINE

RECORD = {
    "name": "alif-shd",
    "rate": 0.1,
    "streams": 64,
    "microseconds": {"astroedge step": 20.0, "astroedge run": 8.0, "torch": 400.0, "torch, CUDA graph": 40.0},
    "missing": {"TensorRT": "this build of ONNX Runtime has no TensorrtExecutionProvider"},
    "touched_bytes": 400_000,
    "limit_microseconds": 2.0,
    "firing_rates": {"a": 0.1, "b": 0.12},
}
GPU = {
    "name": "A GPU",
    "capability": 87,
    "multiprocessors": 8,
    "bandwidth_bytes": 200_000_000_000,
    "memory_bytes": 2**33,
}


def test_a_row_says_how_we_stand_beside_the_best_other() -> None:
    """Both our calls, the fastest of the others by name, both ratios, and the share of the bandwidth."""
    report = {"machine": MACHINE, "gpu": GPU, "failed": {"lif-tiny": "out of memory"}, "networks": [RECORD]}
    lines = gpu.render(report)
    row = "| alif-shd | 64 | 10%–12% | 20.0 | 8.00 | 40.0 (torch, CUDA graph) | 2.00× | 5.00× | 25% |"
    assert row.replace("10%–12%", "10–12%") in lines
    assert "sm_87, 8 multiprocessors, 200 GB/s" in lines[0]
    assert "\nTensorRT is missing: this build of ONNX Runtime has no TensorrtExecutionProvider" in lines
    assert "\nlif-tiny failed: out of memory" in lines


def test_a_row_without_others_or_bandwidth_has_dashes() -> None:
    """What was not measured is not made up."""
    record = {**RECORD, "microseconds": {"astroedge step": 20.0, "astroedge run": 8.0}, "limit_microseconds": None}
    report = {"machine": MACHINE, "gpu": GPU, "failed": {}, "networks": [record]}
    assert "| alif-shd | 64 | 10–12% | 20.0 | 8.00 | – | – | – | – |" in gpu.render(report)


@pytest.mark.skipif(ctypes.util.find_library("cuda") is not None, reason="this machine has NVIDIA's driver")
def test_without_a_gpu_nothing_is_measured(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence says why."""
    monkeypatch.setattr("sys.argv", ["gpu", "--quick"])
    gpu.main()
    assert capsys.readouterr().out.startswith("This machine has no NVIDIA driver")
