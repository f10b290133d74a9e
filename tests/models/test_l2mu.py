"""L²MU: its equations, its memory, and the same spikes compiled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from astroedge.models import L2MU
from astroedge.models.l2mu import legendre
from tests.support.stepping import Array, assert_compiled_equals_torch, assert_follows, spike_inputs, walk


def small(synaptic: bool = False) -> L2MU:
    """A small cell whose every population fires, none of its neurons like another, its memory on a grid too."""
    torch.manual_seed(4)
    model = L2MU((12, 20, 6), memory=10, order=3, theta=4.0, synaptic=synaptic)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith((".beta", ".threshold", ".alpha")):
                parameter.mul_(0.6 + 0.6 * torch.rand(parameter.shape))
            else:
                parameter.copy_(torch.randn(parameter.shape) * (0.3 if name[0] == "e" else 0.2))
        model.W_o.bias.sub_(0.2)
        model.A.copy_(torch.round(64 * model.A) / 64)
        model.B.copy_(torch.round(64 * model.B) / 64)
    return model


def lif(p: dict[str, Array], name: str, current: Array, state: Sequence[Array]) -> tuple[Array, list[Array]]:
    """A population: its spikes and its next state."""
    beta, threshold = p[f"neurons.{name}.beta"], p[f"neurons.{name}.threshold"]
    if len(state) == 2:
        current = p[f"neurons.{name}.alpha"] * state[0] + current
    old = state[-1]
    new = beta * old + current - np.where(old > threshold, threshold, 0)
    return (new > threshold).astype(new.dtype), [new] if len(state) == 1 else [current, new]


def equations(p: dict[str, Array], inputs: Sequence[Array], state: Sequence[Array]) -> tuple[Array, list[Array]]:
    """One tick as the module's docstring has it."""
    (x,) = inputs
    parts = len(state) // 4
    u, m, h, y = (state[parts * index : parts * (index + 1)] for index in range(4))
    m_prev = (m[-1] > p["neurons.m.threshold"]).astype(x.dtype)
    h_prev = (h[-1] > p["neurons.h.threshold"]).astype(x.dtype)
    batch = len(x)
    current = x @ p["e_x.weight"].T + h_prev @ p["e_h.weight"].T + m_prev.reshape(batch, -1) @ p["e_m.weight"].T
    given, next_u = lif(p, "u", current, u)
    current = np.einsum("ij,bkj->bki", p["A"], m_prev) + np.einsum("i,bk->bki", p["B"], given)
    stored, next_m = lif(p, "m", current, m)
    current = x @ p["W_x.weight"].T + h_prev @ p["W_h.weight"].T + stored.reshape(batch, -1) @ p["W_m.weight"].T
    hidden, next_h = lif(p, "h", current, h)
    output, next_y = lif(p, "y", hidden @ p["W_o.weight"].T + p["W_o.bias"], y)
    return output, [*next_u, *next_m, *next_h, *next_y]


@pytest.mark.parametrize("synaptic", [False, True])
def test_a_tick_is_its_equations(synaptic: bool) -> None:
    """Output and state of three streams over 60 ticks are those of a NumPy transcription."""
    assert_follows(small(synaptic), equations, spike_inputs(0.3, 60, 3, 12))


@pytest.mark.parametrize("synaptic", [False, True])
def test_compiled_it_gives_the_same_spikes(synaptic: bool) -> None:
    """With weights on a grid, 120 compiled ticks equal PyTorch's bit for bit, and every population fires."""
    assert_compiled_equals_torch(small(synaptic), spike_inputs(0.3, 120, 1, 12))


def test_the_memory_is_a_legendre_memory_held_a_tick() -> None:
    """Ā and B̄ are blocks of one matrix exponential, and B̄ then reads a constant input as its first polynomial alone."""
    order, theta = 4, 7.0
    A, B = (matrix.double().numpy() for matrix in legendre(order, theta))
    i, j = np.indices((order, order))
    both = np.zeros((order + 1, order + 1))
    both[:order, :order] = (2 * i + 1) * np.where(i < j, -1.0, (-1.0) ** (i - j + 1)) / theta
    both[:order, order] = (2 * np.arange(order) + 1) * (-1.0) ** np.arange(order) / theta
    np.testing.assert_allclose(np.hstack([A, B[:, None]]), expm(both)[:order], atol=1e-6)
    np.testing.assert_allclose(np.linalg.solve(np.eye(order) - A, B), np.eye(order)[0], atol=1e-5)


def test_the_memory_reads_its_matrix_and_not_the_transpose() -> None:
    """A spike of the first memory alone reaches the membranes by the first column of Ā; the reset is a tick late."""
    model = L2MU((2, 3, 2), memory=1, order=3).eval()
    state = model.initial_state(1)
    threshold = model.neurons["m"].threshold
    state[1] = torch.zeros(1, 1, 3)
    state[1][0, 0, 0] = 1.0
    with torch.no_grad():
        m = model(torch.zeros(1, 2), *state)[2]
    expected = model.A[:, 0].clone()
    expected[0] += 0.35 - threshold[0, 0].item()
    torch.testing.assert_close(m[0, 0], expected)


def test_a_membrane_on_its_threshold_is_silent() -> None:
    """Exactly on Θ a neuron neither fires nor is reset; just above it does both."""
    population = L2MU((2, 3, 2), memory=2, order=2).neurons["y"].eval()
    threshold = population.threshold[0].item()
    membrane = torch.tensor([[threshold, 2 * threshold]])
    assert population.spikes(membrane).tolist() == [[0.0, 1.0]]
    after = population(torch.zeros(1, 2), membrane)[0]
    torch.testing.assert_close(after, 0.15 * membrane - torch.tensor([[0.0, threshold]]))


def test_it_learns_through_spikes() -> None:
    """In training a tick is the same, and after ten of them every parameter has a derivative."""
    model, inputs = small(synaptic=True), spike_inputs(0.3, 10, 2, 12)
    expected = walk(model.eval(), [inputs])
    state = model.train().initial_state(2)
    outputs = []
    for tick, x in enumerate(inputs):
        output, *state = model(x, *state)
        outputs.append(output)
        np.testing.assert_array_equal(output.detach().numpy(), expected[tick][0])
    torch.stack(outputs).square().sum().backward()
    assert [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()] == []
