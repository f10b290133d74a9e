"""States that other exporters get wrong: swapped, shifted, kept, shared, shown, passed through, given twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from astroedge.exporters import export
from astroedge.step.graph import StepGraph
from tests.support.graphs import step_through

Step = Callable[..., tuple[Tensor, ...]]
TICKS = 9


def swap(x: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    """Two states that take each other's value."""
    return a - b + x, b, a


def shift_register(x: Tensor, first: Tensor, second: Tensor, third: Tensor) -> tuple[Tensor, ...]:
    """A delay line; the input goes straight to a next state and a state straight to the output."""
    return third, x, first, second


def identity_next(x: Tensor, gain: Tensor, total: Tensor) -> tuple[Tensor, ...]:
    """A state that is read but never changes."""
    return total, gain, total + gain * x


def shared_next(x: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    """One tensor is the next value of two states."""
    following = 0.5 * a + x
    return b - a, following, following


def state_as_output(x: Tensor, v: Tensor) -> tuple[Tensor, ...]:
    """The old state, the new state and the input are outputs; the new state is the same tensor as one of them."""
    following = 0.5 * v + x
    return v, following, x, following


def in_place(x: Tensor, v: Tensor) -> tuple[Tensor, ...]:
    """A state that is written in place, and an input that is, too."""
    v.mul_(0.5).add_(x.abs_())
    return v, v


def written_slices(x: Tensor, v: Tensor) -> tuple[Tensor, ...]:
    """Slices that are given a number and a row."""
    v[:, :2] = 0
    v[:] = v + x[0]
    v[:, 2:] += 0.5 * x[0, 2:]
    return v, v


def all_equal(x: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    """Input, outputs and next states are one tensor."""
    total = x + a - b
    return total, total, total, total


CASES: dict[Step, tuple[float, ...]] = {
    swap: (1.0, -1.0),
    shift_register: (3.0, 2.0, 1.0),
    identity_next: (2.0, 0.0),
    shared_next: (0.0, 4.0),
    state_as_output: (1.0,),
    in_place: (1.0,),
    written_slices: (1.0,),
    all_equal: (0.0, 0.0),
}


def torch_run(step: Step, data: Tensor, start: tuple[Tensor, ...]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The outputs of every tick and the last state, as PyTorch computes them."""
    states, collected = start, []
    for x in data:
        result = [tensor.clone() for tensor in step(x.clone(), *(state.clone() for state in states))]
        states = tuple(result[len(result) - len(states) :])
        collected.append([tensor.numpy() for tensor in result[: len(result) - len(states)]])
    return [np.stack(arrays) for arrays in zip(*collected, strict=True)], [state.numpy() for state in states]


def check(graph: StepGraph, step: Step, start: tuple[Tensor, ...]) -> None:
    """The graph and PyTorch agree to the bit over some ticks."""
    data = torch.arange(TICKS * 4, dtype=torch.float32).reshape(TICKS, 1, 4) / 8 - 2
    wanted, wanted_state = torch_run(step, data, start)
    outputs, state = step_through(graph, {"x": data.numpy()})
    for item, array in zip(graph.spec.outputs, wanted, strict=True):
        np.testing.assert_array_equal(outputs[item.name], array)
    for item, array in zip(graph.spec.states, wanted_state, strict=True):
        np.testing.assert_array_equal(state[item.name], array)


@pytest.mark.parametrize("step", CASES, ids=lambda step: step.__name__)
def test_hard_case_steps_like_torch(step: Step) -> None:
    """Every hard case exports, and its graph gives PyTorch's outputs and states tick by tick."""
    start = tuple(torch.full((1, 4), value) for value in CASES[step])
    graph = export(step, torch.ones(1, 4), start, name=step.__name__)
    assert len(graph.spec.states) == len(start)
    check(graph, step, start)


def test_one_tensor_object_for_two_states_stays_two_states() -> None:
    """Giving the same zeros twice does not merge the states."""
    zeros: Any = torch.zeros(1, 4)
    graph = export(swap, torch.ones(1, 4), (zeros, zeros))
    assert [state.name for state in graph.spec.states] == ["a", "b"]
    check(graph, swap, (torch.zeros(1, 4), torch.zeros(1, 4)))


def test_unused_identity_state_is_left_out() -> None:
    """A state that only copies itself and that nothing else reads is pruned with a note."""

    def step(x: Tensor, v: Tensor, idle: Tensor) -> tuple[Tensor, ...]:
        return x + v, v + x, idle

    graph = export(step, torch.ones(1, 4), (torch.zeros(1, 4), torch.zeros(1, 4)))
    assert [state.name for state in graph.spec.states] == ["v"]
    assert any("'idle'" in note for note in graph.notes)


def test_counter_that_only_feeds_itself_stays() -> None:
    """A state that accumulates is carried even if no output depends on it: the user may read it."""

    def step(x: Tensor, v: Tensor, count: Tensor) -> tuple[Tensor, ...]:
        return x + v, v + x, count + 1.0

    graph = export(step, torch.ones(1, 4), (torch.zeros(1, 4), torch.zeros(1, 1)))
    _, state = step_through(graph, {"x": np.ones((5, 1, 4), np.float32)})
    assert state["count"].item() == 5.0
