"""Inputs, states and outputs of the dtypes that few models have: 16-bit and unsigned integers, float64."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

import astroedge
from astroedge.errors import InputError
from astroedge.runtimes import load
from astroedge.runtimes.checking.reference import ReferenceSession
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.link.linker import find_linker
from tests.support import graphs
from tests.support.c_host import build_c_host

DTYPES = ("int16", "uint16", "uint32", "uint64", "float64")
TICKS = 6


def _counting() -> StepGraph:
    """A step that adds an input of each dtype to a state of it, and compares."""
    inputs = tuple(TensorSpec(f"x_{dtype}", (2, 5), dtype) for dtype in DTYPES)
    outputs = tuple(TensorSpec(f"less_{dtype}", (2, 5), "bool") for dtype in DTYPES)
    states = tuple(StateSpec(f"s_{dtype}", (2, 5), dtype, None, 1.0) for dtype in DTYPES)
    nodes = [
        node
        for dtype in DTYPES
        for node in (
            helper.make_node("Add", [f"x_{dtype}", f"state.s_{dtype}"], [f"next.s_{dtype}"]),
            helper.make_node("Less", [f"x_{dtype}", f"state.s_{dtype}"], [f"less_{dtype}"]),
        )
    ]
    return graphs.build("wide", StepSpec(inputs=inputs, outputs=outputs, states=states), nodes, {})


def _data() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    data = {}
    for dtype in DTYPES:
        limits = np.finfo(dtype) if dtype.startswith("float") else np.iinfo(dtype)
        drawn = rng.integers(0, 9, (TICKS, 2, 5)).astype(dtype)
        drawn[0, 0] = limits.max  # wraps around in the next tick
        data[f"x_{dtype}"] = drawn
    return data


def test_wide_dtypes_are_carried_whole(tmp_path: Path) -> None:
    """Values, wrapping around included, are ONNX Runtime's, and the C host replays the golden trace."""
    graph, data = _counting(), _data()
    bundle = astroedge.compile(graph)
    expected = ReferenceSession(graph)
    with load(bundle) as session:
        given, wanted = session.run(**data), expected.run(**data)
        for name, array in wanted.items():
            np.testing.assert_array_equal(given[name], array, err_msg=name)
        for state in graph.spec.states:
            np.testing.assert_array_equal(session.states[state.name], expected.states[state.name], err_msg=state.name)
    bundle.save(tmp_path / "wide.astro")
    program = build_c_host(find_linker(resolve_target("native")), tmp_path, "-O1")
    replayed = subprocess.run(
        [program, tmp_path / "wide.astro", "--golden"], check=False, capture_output=True, text=True
    )
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr


@pytest.mark.parametrize("number", [-1, 2**64])
def test_numbers_that_an_unsigned_input_does_not_hold_are_refused(number: int) -> None:
    """No number wraps around on its way in."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1,), "uint64"),), outputs=(), states=(StateSpec("s", (1,), "uint64", None, 0.0),)
    )
    graph = graphs.build("one", spec, [helper.make_node("Add", ["x", "state.s"], ["next.s"])], {})
    with load(astroedge.compile(graph)) as session, pytest.raises(InputError, match="uint64 does not hold"):
        session.step(x=number)
