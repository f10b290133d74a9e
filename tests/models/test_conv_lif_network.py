"""The convolutional LIF network: its equations, and the same spikes compiled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from astroedge.models import ConvLIFNetwork
from tests.support.stepping import Array, assert_compiled_equals_torch, assert_follows, spike_inputs

DECAY = 0.875


@pytest.fixture
def model() -> ConvLIFNetwork:
    """A small net on 20 × 20 pixels with weights strong enough to fire."""
    torch.manual_seed(5)
    model = ConvLIFNetwork(size=20, channels=(4, 6), classes=5, decay=DECAY)
    with torch.no_grad():
        for layer in (model.conv1, model.conv2, model.linear):
            layer.weight *= 2.0
    return model


def convolve(x: Array, weight: Array, bias: Array) -> Array:
    """A convolution without padding: `x (B, C, H, W)`, `weight (O, C, 5, 5)`."""
    windows = sliding_window_view(x, weight.shape[2:], axis=(2, 3))
    return np.einsum("bchwij,ocij->bohw", windows, weight) + bias[:, None, None]


def pool(x: Array) -> Array:
    """The largest of each 2 × 2; a last odd row and column are left out."""
    return sliding_window_view(x, (2, 2), axis=(2, 3))[:, :, ::2, ::2].max(axis=(4, 5))


def equations(
    parameters: dict[str, Array], inputs: Sequence[Array], state: Sequence[Array]
) -> tuple[Array, list[Array]]:
    """One tick as the module's docstring has it."""

    def fire(current: Array, v: Array, name: str) -> tuple[Array, Array]:
        v = DECAY * v + current
        s = (v >= parameters[f"{name}.threshold"]).astype(v.dtype)
        return s, v * (1 - s)

    s, v1 = fire(convolve(inputs[0], parameters["conv1.weight"], parameters["conv1.bias"]), state[0], "lif1")
    s, v2 = fire(convolve(pool(s), parameters["conv2.weight"], parameters["conv2.bias"]), state[1], "lif2")
    flat = pool(s).reshape(len(s), -1)
    s, v3 = fire(flat @ parameters["linear.weight"].T + parameters["linear.bias"], state[2], "lif3")
    return s, [v1, v2, v3]


def test_a_tick_is_its_equations(model: ConvLIFNetwork) -> None:
    """Output and state of two streams over 30 ticks are those of a NumPy transcription."""
    assert_follows(model, equations, spike_inputs(0.2, 30, 2, 2, 20, 20))


def test_compiled_it_gives_the_same_spikes(model: ConvLIFNetwork) -> None:
    """With weights on a grid, 60 ticks of the compiled step equal PyTorch's bit for bit, and every layer fires."""
    assert_compiled_equals_torch(model, spike_inputs(0.2, 60, 1, 2, 20, 20))


def test_its_sizes_are_those_of_n_mnist() -> None:
    """By default 34 × 34 pixels end in 800 inputs of ten neurons."""
    model = ConvLIFNetwork()
    assert tuple(model.linear.weight.shape) == (10, 800)
    assert [tuple(tensor.shape) for tensor in model.initial_state()] == [(1, 12, 30, 30), (1, 32, 11, 11), (1, 10)]
