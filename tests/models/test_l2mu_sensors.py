"""L²MU's encoder for sensors: its equations before the cell, and the same spikes compiled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from astroedge.models import L2MU, L2MUSensors
from tests.support.stepping import Array, assert_compiled_equals_torch, assert_follows, walk


def small() -> L2MUSensors:
    """Three channels, every population awake, its memory, mean and scale on a grid too."""
    torch.manual_seed(3)
    model = L2MUSensors(3, population=4, encoded=20, hidden=16, classes=5, memory=8, order=3, theta=4.0)
    model.standardise.mean.copy_(torch.tensor([0.5, -2.0, 1.0]))
    model.standardise.scale.copy_(torch.tensor([1.0, 0.5, 2.0]))
    model.cell.A.copy_(torch.round(64 * model.cell.A) / 64)
    model.cell.B.copy_(torch.round(64 * model.cell.B) / 64)
    return model


def readings(ticks: int, batch: int) -> torch.Tensor:
    """Raw sensor numbers on a grid, `(ticks, batch, 3)`, of the scale that the model expects."""
    normal = torch.randn((ticks, batch, 3), generator=torch.Generator().manual_seed(6))
    return torch.round(16 * (normal / torch.tensor([1.0, 0.5, 2.0]) + torch.tensor([0.5, -2.0, 1.0]))) / 16


def equations(p: dict[str, Array], inputs: Sequence[Array], state: Sequence[Array]) -> tuple[Array, list[Array]]:
    """The encoder as the module's docstring has it; the cell, which has equations of its own, by its module."""
    following: list[Array] = []

    def lif(name: str, current: Array) -> Array:
        beta, threshold, old = p[f"neurons.{name}.beta"], p[f"neurons.{name}.threshold"], state[len(following)]
        following.append(beta * old + current - np.where(old > threshold, threshold, 0))
        return np.where(following[-1] > threshold, 1.0, 0.0)

    x = (inputs[0] - p["standardise.mean"]) * p["standardise.scale"]
    spikes = lif("p", np.stack([x[:, [c]] * p["weight"][c] + p["bias"][c] for c in range(3)], axis=1))
    spikes = lif("e1", spikes.reshape(len(x), -1) @ p["W_1.weight"].T + p["W_1.bias"])
    spikes = lif("e2", spikes @ p["W_2.weight"].T + p["W_2.bias"])
    cell = L2MU((20, 16, 5), memory=8, order=3, theta=4.0).double().eval()
    cell.load_state_dict({k.removeprefix("cell."): torch.from_numpy(v) for k, v in p.items() if k.startswith("cell.")})
    with torch.no_grad():
        y, *after = cell(torch.from_numpy(spikes), *(torch.from_numpy(s) for s in state[3:]))
    return y.numpy(), [*following, *(tensor.numpy() for tensor in after)]


def test_a_tick_is_its_equations() -> None:
    """Output and state of three streams over 60 ticks are those of a NumPy transcription of the encoder."""
    assert_follows(small(), equations, readings(60, 3))


def test_compiled_it_gives_the_same_spikes() -> None:
    """With weights on a grid, 120 compiled ticks of raw numbers equal PyTorch's bit for bit, and all fire."""
    assert_compiled_equals_torch(small(), readings(120, 1))


def test_every_population_is_awake_with_fresh_weights() -> None:
    """At the start each of the seven populations fires between 2 and 50 % on standardised noise."""
    torch.manual_seed(0)
    model = L2MUSensors().eval()
    x = torch.randn((100, 8, 6), generator=torch.Generator().manual_seed(1))
    states = [ticks[1:] for ticks in walk(model, [x])]
    populations = [*model.neurons.values(), *model.cell.neurons.values()]
    for index, (name, population) in enumerate(zip(model.state_names(), populations, strict=True)):
        membranes = torch.stack([torch.from_numpy(state[index]) for state in states])
        assert 0.02 < population.spikes(membranes).mean() < 0.5, name


def test_it_learns_through_spikes() -> None:
    """In training a tick is the same, and after ten of them every parameter of the encoder has a derivative."""
    model, inputs = small(), readings(20, 2)
    expected = walk(model.eval(), [inputs])
    state, outputs = model.train().initial_state(2), []
    for tick, x in enumerate(inputs):
        output, *state = model(x, *state)
        outputs.append(output)
        np.testing.assert_array_equal(output.detach().numpy(), expected[tick][0])
    torch.stack(outputs).square().sum().backward()
    assert [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()] == []
