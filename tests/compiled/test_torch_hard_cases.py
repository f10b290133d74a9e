"""The hard cases of a step, written in PyTorch: exported, in ONNX Runtime and compiled they are the same function."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import astroedge
from astroedge.runtimes import load
from tests.support import graphs
from tests.support.builds import assert_same_run, build

TICKS, WIDTH, DECAY = 200, 5, 0.875


class Swap(nn.Module):
    """Two states take each other's value."""

    def forward(self, x: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        return a - b + x, b, a


class ShiftRegister(nn.Module):
    """Each state becomes the one before it, the first the input."""

    def forward(self, x: Tensor, first: Tensor, second: Tensor, third: Tensor) -> tuple[Tensor, ...]:
        return third - x, x, first, second


class IdentityNext(nn.Module):
    """One state never changes and scales what the other adds up."""

    def forward(self, x: Tensor, gain: Tensor, total: Tensor) -> tuple[Tensor, ...]:
        return total - x, gain, total + x * gain


class SharedNext(nn.Module):
    """One tensor is the next value of two states."""

    def forward(self, x: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        total = DECAY * a + x
        return b - total, total, total


class StateAsOutput(nn.Module):
    """The new state is an output, so is the old one, and the input is a state."""

    def forward(self, x: Tensor, v: Tensor, last: Tensor) -> tuple[Tensor, ...]:
        y = DECAY * v + last
        return y, v, y, x


class RingBuffer(nn.Module):
    """A delay of three ticks: what is written to place `at` is read when `at` comes round again."""

    def forward(self, x: Tensor, ring: Tensor, at: Tensor) -> tuple[Tensor, ...]:
        return ring.index_select(0, at)[0] - x, ring.index_copy(0, at, x[None]), (at + 1) % len(ring)


class BooleanRegister(nn.Module):
    """A shift register of Booleans, turned round and written at its first place."""

    def forward(self, x: Tensor, register: Tensor) -> tuple[Tensor, ...]:
        turned = torch.roll(register, 1, 0)
        turned[0] = x > 0
        return register[-1].to(x.dtype), turned


class TwoAccumulators(nn.Module):
    """Two states that differ, whatever they start from."""

    def forward(self, x: Tensor, up: Tensor, down: Tensor) -> tuple[Tensor, ...]:
        return up - down, up + x, DECAY * down - x


def states(*values: float) -> tuple[Tensor, ...]:
    """A state tensor of each value."""
    return tuple(torch.full((1, WIDTH), value) for value in values)


ONE_TENSOR = torch.zeros(1, WIDTH)
CASES: dict[str, tuple[nn.Module, tuple[Tensor, ...]]] = {
    "swap": (Swap(), states(1.0, -1.0)),
    "shift register": (ShiftRegister(), states(0.0, 0.0, 0.0)),
    "identity next": (IdentityNext(), (torch.arange(1.0, WIDTH + 1)[None] / 4, *states(0.0))),
    "shared next": (SharedNext(), states(0.0, 2.0)),
    "state as output": (StateAsOutput(), states(0.0, 0.0)),
    "ring buffer": (RingBuffer(), (torch.zeros(3, 1, WIDTH), torch.zeros(1, dtype=torch.int64))),
    "Boolean register": (BooleanRegister(), (torch.zeros(3, 1, WIDTH, dtype=torch.bool),)),
    "one tensor for two states": (TwoAccumulators(), (ONE_TENSOR, ONE_TENSOR)),
}


@pytest.mark.parametrize("case", CASES)
def test_torch_and_compiled_step_agree(case: str) -> None:
    """Every output of every tick has torch's very bits, and the states do at the end."""
    model, initial = CASES[case]
    x = torch.zeros(1, WIDTH)
    graph = astroedge.export(model.eval(), (x,), initial)
    data = graphs.random_inputs(graph, TICKS, seed=6)
    with load(build(graph)) as session:
        given = assert_same_run(graph, session, data)
        carried, count = initial, len(graph.spec.outputs)
        for tick in range(TICKS):
            result = model(torch.from_numpy(data["x"][tick]), *carried)
            carried = result[count:]
            for output, value in zip(graph.spec.outputs, result, strict=False):
                np.testing.assert_array_equal(given[output.name][tick], value.numpy(), err_msg=f"tick {tick}")
        for state, value in zip(graph.spec.states, carried, strict=True):
            np.testing.assert_array_equal(session.states[state.name], value.numpy())
