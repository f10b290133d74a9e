"""The tables of the study on ARM, and what a further weight takes beside the compiler's estimate."""

from __future__ import annotations

from benchmarks.arm.board_run import Case, Tick
from benchmarks.studies import arm
from tests.benchmarks.records import MACHINE

CASE = Case("run", "step.astro", "x.npz", 24)


def row(runtime: str, kernels: str, own: int, instructions: int, cycles: int) -> dict[str, object]:
    """A network's row of the results."""
    words = {"network": "lif-tiny", "precision": "int8", "runtime": runtime, "kernels": kernels}
    return {**words, "instructions": instructions, "own": own, "cycles": cycles}


NETWORKS = [
    row("astroedge run", "event", 1_000, 1_200, 500),
    row("astroedge step", "event", 1_080, 10_000, 520),
    row("onnxruntime", "MatMulNBits", 91_000, 118_000, 52_000),
    row("onnxruntime", "quantize_dynamic", 51_000, 78_000, 35_000),
]


def test_a_further_weight_takes_the_difference() -> None:
    """Of two products, so that what both do otherwise cancels; held to the estimate for vectors of 128 bits."""
    slope = arm.Slope("multiplied", "float32", (CASE, CASE), (1000.0, 3000.0))
    kernel = arm.compared(slope, Tick(0, 700, 500), Tick(0, 2100, 1500), "raspberry-pi-4")
    assert kernel["instructions_a_weight"] == 0.7
    assert kernel["cycles_a_weight"] == 0.5
    assert kernel["modelled"] == round(arm.modelled("multiplied", "float32", "raspberry-pi-4"), 3)
    assert kernel["cycles_over_modelled"] == round(0.5 / arm.modelled("multiplied", "float32", "raspberry-pi-4"), 2)


def test_the_tables_say_that_they_are_estimates() -> None:
    """The better of ONNX Runtime's ways stands beside us, and what is off by more than a quarter is bold."""
    kernel = {"constant": "fixed_point", "precision": "int8", "modelled": 0.4}
    kernels = [
        {**kernel, "cycles_a_weight": 0.44, "cycles_over_modelled": 1.1},
        {**kernel, "cycles_a_weight": 0.6, "cycles_over_modelled": 1.5},
    ]
    board = {"board": "raspberry-pi-4", "cpu": "cortex-a72", "networks": NETWORKS, "kernels": kernels}
    lines = arm.render({"machine": MACHINE, "ticks": 24, "boards": [board]}).splitlines()
    assert any(line.startswith("**Estimates; no board took part.**") for line in lines)
    assert "| lif-tiny | int8 | event | 1,000 (10,000) | 51,000 (78,000) | 51.0 (7.8) | 500 | 35,000 | 70.0 |" in lines
    assert "| fixed point | int8 | 0.40 | 0.44 (1.10) |" in lines
    assert "| fixed point | int8 | 0.40 | **0.60 (1.50)** |" in lines
