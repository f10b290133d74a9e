"""What every reference model is held to: its equations in NumPy, and a compiled step that gives its very spikes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import astroedge
from astroedge.bundle.container import Bundle

Array = NDArray[Any]
# Parameters by name, inputs, states → output, next states.
Equations = Callable[[dict[str, Array], Sequence[Array], Sequence[Array]], tuple[Array, list[Array]]]


def spike_inputs(rate: float, ticks: int, *shape: int) -> Tensor:
    """Random spikes `(ticks, *shape)`."""
    return (torch.rand((ticks, *shape), generator=torch.Generator().manual_seed(8)) < rate).float()


def _of(dtype: torch.dtype, tensor: Tensor) -> Tensor:
    """A tensor of numbers in `dtype`; counters stay integers."""
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def walk(model: nn.Module, inputs: Sequence[Tensor], dtype: torch.dtype = torch.float32) -> list[list[Array]]:
    """Output and state of every tick of `inputs`, each with a leading axis of ticks."""
    state = [_of(dtype, tensor) for tensor in model.initial_state(inputs[0].shape[1])]
    results = []
    with torch.no_grad():
        for tick in zip(*inputs, strict=True):
            output, *state = model(*tick, *state)
            results.append([tensor.numpy() for tensor in (output, *state)])
    return results


def assert_follows(model: nn.Module, equations: Equations, *inputs: Tensor) -> None:
    """In double precision, every output and state of `model` is what `equations` say."""
    model.double().eval()
    inputs = tuple(_of(torch.float64, tensor) for tensor in inputs)
    parameters = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    state = [_of(torch.float64, tensor).numpy() for tensor in model.initial_state(inputs[0].shape[1])]
    names = ["output", *model.state_names()]
    for tick, results in enumerate(walk(model, inputs, torch.float64)):
        output, state = equations(parameters, [tensor[tick].numpy() for tensor in inputs], state)
        for name, value, expected in zip(names, results, (output, *state), strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-9, err_msg=f"{name} at tick {tick}")


def put_on_grid(model: nn.Module, steps: int = 64) -> None:
    """Round every parameter to a multiple of 1/steps: sums of weights are then exact in any order."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.round(parameter * steps) / steps)


def compiled(model: nn.Module, *inputs: Tensor) -> Bundle:
    """The model exported with `inputs (T, 1, …)` as examples, and compiled for this machine."""
    examples = list(zip(*inputs, strict=True))
    graph = astroedge.export(model.eval(), examples[0], tuple(model.initial_state(1)), examples=examples)
    return astroedge.compile(graph)


def assert_fires(rates: dict[str, float]) -> None:
    """Every group fires at 1 to 60 %: at 0 % a comparison proves nothing."""
    assert rates
    assert {name: rate for name, rate in rates.items() if not 0.01 <= rate <= 0.6} == {}


def assert_compiled_equals_torch(model: nn.Module, *inputs: Tensor) -> None:
    """On a grid of weights, the compiled step gives the outputs and states of PyTorch, bit for bit, at every tick."""
    put_on_grid(model)
    expected = walk(model.eval(), inputs)
    with astroedge.load(compiled(model, *inputs)) as session:
        names = [item.name for item in session.spec.inputs]
        for tick, (output, *state) in enumerate(expected):
            given = session.step(**{name: x[tick].numpy() for name, x in zip(names, inputs, strict=True)})
            np.testing.assert_array_equal(given[session.spec.outputs[0].name], output, err_msg=f"tick {tick}")
            for name, value in zip(model.state_names(), state, strict=True):
                np.testing.assert_array_equal(session.states[name], value, err_msg=f"{name} at tick {tick}")
        assert_fires({name: count.firing_rate for name, count in session.activity().items()})
