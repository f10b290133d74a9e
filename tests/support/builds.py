"""Compiled steps shared between tests, and the two ways to run them beside a reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from astroedge.bundle.container import Bundle
from astroedge.runtimes import load
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.step.graph import StepGraph
from astroedge.targets import compile_step, link_bundle, quantise
from astroedge.targets.boards.board_file import Target
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.compiler.threads import call_sizes
from tests.support import graphs

Arrays = Mapping[str, NDArray[Any]]


def build(
    graph: StepGraph,
    target: str | Target = "native",
    math: str = "exact",
    kernels: str = "auto",
    probes: bool = False,
    precision: str = "float32",
) -> Bundle:
    """Quantise, compile and link, without the checks and the golden trace that `astroedge.compile` adds."""
    goal = resolve_target(target) if isinstance(target, str) else target
    stored = quantise(graph, precision)
    step = compile_step(stored.graph, goal, math=math, kernels=kernels, probes=probes, weights=stored.weights)
    return link_bundle(step, goal)


@cache
def build_of(
    graph: Callable[[], StepGraph],
    target: str = "native",
    math: str = "exact",
    kernels: str = "auto",
    probes: bool = False,
) -> Bundle:
    """`build` of what a builder of `tests.support.graphs` makes, once for all tests."""
    return build(graph(), target, math, kernels, probes)


def hashes(bundle: Bundle, inputs: Arrays, outputs: list[str]) -> tuple[str, list[str]]:
    """SHA-256 of the state after all ticks of `inputs`, and of each named output over all of them."""
    with load(bundle) as session:
        given = session.run(**inputs)
        return digest(session.state), [digest(given[name]) for name in outputs]


def digest(array: NDArray[Any]) -> str:
    """SHA-256 of an array's bytes."""
    return sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def build_for_teams(
    graph: StepGraph,
    target: str | Target = "native",
    kernels: str = "auto",
    precision: str = "float32",
    shared_bytes: int = 1,
) -> Bundle:
    """`build`, but everything that can be divided among threads is, or what goes over `shared_bytes`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(call_sizes, "SHARED_BYTES", shared_bytes)
        patch.setattr(call_sizes, "TEAM_BYTES", 1)
        return build(graph, target, kernels=kernels, precision=precision)


def assert_same_run(graph: StepGraph, session: CompiledSession, inputs: Arrays) -> dict[str, NDArray[Any]]:
    """Demand that `session` gives ONNX Runtime's very values at every tick and in the end; returns the outputs."""
    expected, state = graphs.step_through(graph, inputs)
    given = session.run(**inputs)
    assert given.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(given[name], expected[name], err_msg=name)
    for name, value in state.items():
        np.testing.assert_array_equal(session.states[name], value, err_msg=name)
    return expected


def assert_fires(session: CompiledSession) -> None:
    """Demand that every spike tensor fired at some ticks and not at all: a silent network proves nothing."""
    for name, count in session.activity().items():
        assert 0.0 < count.firing_rate < 1.0, f"{name} fires at {count.firing_rate:.1%}"
