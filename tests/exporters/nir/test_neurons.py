"""Every NIR neuron against its equation written out in NumPy, on numbers whose sums are exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

nir = pytest.importorskip("nir")

from astroedge.errors import ExportError  # noqa: E402  (after the check that nir is there)
from tests.support.nir_files import (  # noqa: E402
    DT,
    SIZE,
    TICKS,
    assert_active,
    chain,
    full,
    grid,
    read,
    run,
    spikes,
)

DRIVE = (spikes(TICKS, SIZE) * (grid(TICKS, SIZE, scale=0.25) + 0.25)).astype(np.float32)
THRESHOLDS = 0.5 + np.arange(SIZE) / 16


@pytest.mark.parametrize("reset", ["value", "subtract"])
@pytest.mark.parametrize("threshold", ["above", "reached"])
def test_lif(tmp_path: Path, reset: str, threshold: str) -> None:
    """tau dv/dt = (v_leak - v) + r I, ties at the threshold included; each neuron has its own threshold and r."""
    r = 8 * (1 + np.arange(SIZE) % 2)
    path = chain(tmp_path, nir.LIF(full(8 * DT), r, full(0), THRESHOLDS, full(0)))
    found = run(read(path, reset=reset, threshold=threshold), DRIVE)
    v, expected = np.zeros(SIZE), []
    for x in DRIVE:
        v = v + DT / (8 * DT) * ((0 - v) + r * x)
        z = v >= THRESHOLDS if threshold == "reached" else v > THRESHOLDS
        v = np.where(z, v - THRESHOLDS if reset == "subtract" else 0, v).astype(np.float32).astype(np.float64)
        expected.append(z)
    assert_active(found)
    np.testing.assert_array_equal(found, np.array(expected))


def test_reset_leak_and_start(tmp_path: Path) -> None:
    """v_reset is where a neuron goes after a spike, v_leak where it drifts to and, with start=rest, begins."""
    path = chain(tmp_path, nir.LIF(full(2 * DT), full(2), full(0.25), full(0.75), full(-0.5)))
    for start, v in (("zero", full(0)), ("rest", full(0.25))):
        expected = []
        for x in DRIVE:
            v = (v + 0.5 * ((0.25 - v) + 2 * x)).astype(np.float32)
            expected.append(v > 0.75)
            v = np.where(v > 0.75, np.float32(-0.5), v)
        found = run(read(path, start=start), DRIVE)
        assert_active(found)
        np.testing.assert_array_equal(found, np.array(expected))


@pytest.mark.parametrize(("kind", "gain"), [("held", 1.0), ("impulse", 1 / DT)])
def test_if_and_integrator(tmp_path: Path, kind: str, gain: float) -> None:
    """dv/dt = r I: dt times r where an input is held, r alone where it is an impulse."""
    r = full(1 / DT / gain)
    for fires in (True, False):
        node = nir.IF(r, full(2.0), full(0)) if fires else nir.I(r)
        path = chain(tmp_path, node)
        expected, v = [], np.zeros(SIZE)
        for x in DRIVE:
            v = v + x
            expected.append(v > 2 if fires else v)
            v = np.where(v > 2, 0, v) if fires else v
        # Held: gain is 1 and dt * r = 1. Impulse: r = 1 and no dt.
        found = run(read(path, input=kind), DRIVE)
        if fires:
            assert_active(found)
        np.testing.assert_array_equal(found, np.array(expected))


def test_leaky_integrator(tmp_path: Path) -> None:
    """LI gives its membrane, with a time constant of its own for each neuron."""
    tau = DT * 2.0 ** (np.arange(SIZE) % 3)
    found = run(read(chain(tmp_path, nir.LI(tau, full(1), full(0)))), DRIVE)
    v, expected = np.zeros(SIZE, np.float32), []
    for x in DRIVE:
        v = v + (np.float32(DT) / tau.astype(np.float32)) * (0 - v) + (DT / tau).astype(np.float32) * x
        expected.append(v)
    assert np.abs(found).max() > 0.1
    np.testing.assert_allclose(found, np.array(expected), rtol=0, atol=1e-6)


@pytest.mark.parametrize("current", ["new", "old"])
@pytest.mark.parametrize("kind", ["held", "impulse"])
@pytest.mark.parametrize("fires", [True, False])
def test_current_based(tmp_path: Path, current: str, kind: str, fires: bool) -> None:
    """tau_syn dI/dt = -I + w_in S and tau_mem dv/dt = (v_leak - v) + r I, by either current and kind of input."""
    w_in = full(2.0 if kind == "held" else 2 * DT)
    ends = (full(0.5), full(0)) if fires else ()
    make = nir.CubaLIF if fires else nir.CubaLI
    node = make(full(2 * DT), full(4 * DT), full(4), full(0), *ends, w_in=w_in)
    found = run(read(chain(tmp_path, node), current=current, input=kind), DRIVE)
    i, v, expected = np.zeros(SIZE, np.float32), np.zeros(SIZE, np.float32), []
    for x in DRIVE:
        before = i
        i = i + np.float32(0.5) * (-i) + x
        v = v + (np.float32(0.25) * (0 - v) + (i if current == "new" else before))
        expected.append(v > 0.5 if fires else v)
        v = np.where(v > 0.5, np.float32(0), v) if fires else v
    if fires:
        assert_active(found)
    np.testing.assert_array_equal(found, np.array(expected, np.float32))


def test_delay(tmp_path: Path) -> None:
    """Every element comes out its own number of ticks later, 0 before; a delay of 0 passes through."""
    ticks = np.arange(SIZE) % 5
    found = run(read(chain(tmp_path, nir.Delay(ticks * DT), nir.LI(full(DT), full(1), full(0)))), DRIVE)
    for element, delay in enumerate(ticks):
        np.testing.assert_array_equal(found[delay:, element], DRIVE[: TICKS - delay, element])
        assert not found[:delay, element].any()


@pytest.mark.parametrize(
    ("node", "choices", "message"),
    [
        (nir.LIF(full(DT / 2), full(1), full(0), full(1), full(0)), {}, "below dt"),
        (nir.LIF(full(np.inf), full(np.inf), full(0), full(1), full(0)), {}, "NaN or infinity"),
        (nir.LIF(full(DT), full(1), full(0.5), full(1), full(0)), {}, "start=zero or start=rest"),
        (
            nir.LIF(full(DT), full(1), full(0), full(1), full(0.5)),
            {"reset": "subtract", "start": "zero"},
            "contradicts",
        ),
        (nir.IF(full(1), full(1), full(0)), {}, "input=held or input=impulse"),
        (nir.CubaLI(full(DT), full(DT), full(1), full(0)), {"input": "held"}, "current=new or current=old"),
        (nir.IF(full(1), full(1), full(0)), {"input": "maybe"}, "is no choice"),
        (nir.IF(full(1), full(1), full(0)), {"inputs": "held"}, "did you mean 'input'"),
        (nir.Delay(full(1.5 * DT)), {}, "no whole number of ticks"),
        (nir.Delay(full(-DT)), {}, "no whole number of ticks"),
        (nir.LI(full(DT, 5), full(1, 5), full(0, 5)), {}, "has shape"),
    ],
)
def test_refused(tmp_path: Path, node: object, choices: dict[str, str], message: str) -> None:
    """What does not fit, and what NIR leaves open, is an error that names the node or the choice."""
    path = chain(tmp_path, node, nir.LI(full(DT), full(1), full(0)))
    with pytest.raises(ExportError, match=message):
        read(path, **choices)
