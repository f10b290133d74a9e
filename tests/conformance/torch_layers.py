"""PyTorch's layers in front of neurons written as a user writes them, delays, nested states and readouts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn

from tests.conformance.cases import DECAY, HIDDEN, INPUTS, OUTPUTS, Array, Case, Weights, draw_weights, drawn, signals
from tests.conformance.layers_transcribed import transcribed

TOKENS, DELAY = 12, 3
Layer = nn.Module | Callable[[tuple[int, ...]], nn.Module]


class Neurons(nn.Module):
    """Leaky neurons with a threshold of 1, which is taken off where it is reached; the membranes are a buffer."""

    v: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.decay = DECAY
        self.register_buffer("v", torch.zeros(1, *shape))

    def forward(self, x: Tensor) -> Tensor:
        """One tick."""
        v = self.decay * self.v + x
        spikes = (v >= 1.0).to(x.dtype)
        self.v = v - spikes
        return spikes


class Shifted(nn.Module):
    """A delay of `DELAY` ticks by a queue that moves on: its oldest entry leaves, the input enters."""

    queue: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("queue", torch.zeros(1, DELAY, *shape))

    def forward(self, x: Tensor) -> Tensor:
        """One tick."""
        y = self.queue[:, 0]
        self.queue = torch.cat([self.queue[:, 1:], x.unsqueeze(1)], dim=1)
        return y


class Rolled(Shifted):
    """The same by torch.roll and a write in place."""

    def forward(self, x: Tensor) -> Tensor:
        """One tick."""
        y = self.queue[:, 0].clone()
        self.queue = torch.roll(self.queue, -1, dims=1)
        self.queue[:, -1] = x
        return y


class Moved(Shifted):
    """The same by writing every entry to the place before it."""

    def forward(self, x: Tensor) -> Tensor:
        """One tick."""
        y = self.queue[:, 0].clone()
        self.queue[:, :-1] = self.queue[:, 1:].clone()
        self.queue[:, -1] = x
        return y


class Ring(nn.Module):
    """The same by a ring buffer: a counter says which place is read and then written."""

    ring: Tensor
    count: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("ring", torch.zeros(DELAY, 1, *shape))
        self.register_buffer("count", torch.zeros(1, dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """One tick."""
        place = self.count % DELAY
        y = self.ring[place][0]
        self.ring[place] = x
        self.count = self.count + 1
        return y


class Nested(nn.Module):
    """Neurons with a current and a membrane in a dict, a readout's membrane in a tuple: `(x, state) -> (y, state)`."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(INPUTS, HIDDEN)
        self.readout = nn.Linear(HIDDEN, OUTPUTS)

    def forward(self, x: Tensor, state: dict[str, Any] | None = None) -> tuple[Tensor, dict[str, Any]]:
        """One tick."""
        if state is None:
            state = nested_state()
        current = 0.5 * state["hidden"]["i"] + self.linear(x)
        v = DECAY * state["hidden"]["v"] + current
        spikes = (v >= 1.0).to(x.dtype)
        y = 0.5 * state["readout"][0] + self.readout(spikes)
        return y, {"readout": (y,), "hidden": {"v": v - spikes, "i": current}}


def nested_state() -> dict[str, Any]:
    """Zeros."""
    hidden = {"i": torch.zeros(1, HIDDEN), "v": torch.zeros(1, HIDDEN)}
    return {"hidden": hidden, "readout": (torch.zeros(1, OUTPUTS),)}


def _case(
    cell: str,
    variant: str,
    make: Callable[[], Sequence[Layer]],
    *shape: int,
    gain: float = 1.0,
    tie: float = 1.0,
    **options: Any,
) -> Case:
    """A case of layers one after the other, for inputs `(1, *shape)`; what takes a shape gets the one it is fed."""
    shape = shape or (INPUTS,)

    def build(weights: Weights) -> nn.Module:
        torch.manual_seed(3)
        layers: list[nn.Module] = []
        example = torch.from_numpy(case.inputs(1, weights)[0])
        for layer in make():
            if isinstance(layer, nn.Module):
                example = layer.eval()(example)
            else:
                layer = layer(tuple(example.shape[1:]))
            layers.append(layer)
        return _drawn(nn.Sequential(*layers), weights, gain, tie)

    transcription = None if options.get("exact", True) else transcribed
    options = {"draw": partial(signals, shape=(1, *shape)), "transcription": transcription, **options}
    case = Case("PyTorch", cell, variant, build, **options)
    return case


def _drawn(model: nn.Module, weights: Weights, gain: float, tie: float) -> nn.Module:
    """`draw_weights`, tables as the weights of neurons that hear one-hot inputs, and norms as training leaves them."""
    rng = np.random.default_rng(11)
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            entries, width = module.weight.shape
            module.weight.data = drawn(rng, (width, entries), weights, gain, tie).T.contiguous()
        elif "Norm" in type(module).__name__:
            for name, tensor in module.state_dict().items():
                if tensor.is_floating_point():
                    centre = 0.0 if name in ("bias", "running_mean") else 1.0
                    tensor.copy_(torch.from_numpy(rng.uniform(centre - 0.4, centre + 0.4, tensor.shape)))
    return draw_weights(model, weights, gain=gain, tie=tie)


def _tokens(rng: Generator, ticks: int, weights: Weights) -> Array:
    return rng.integers(0, TOKENS, (ticks, 1))


def _delayed(delay: Callable[[Sequence[int]], nn.Module]) -> Callable[[], Sequence[Layer]]:
    return lambda: [nn.Linear(INPUTS, HIDDEN), Neurons, delay, nn.Linear(HIDDEN, OUTPUTS), Neurons]


def _convolved() -> Sequence[Layer]:
    first = nn.Conv2d(2, 8, 3, stride=2, padding=1)
    return [first, Neurons, nn.Conv2d(8, 12, 3, padding=1, groups=2), nn.MaxPool2d(2), Neurons]


def _averaged() -> Sequence[Layer]:
    last = nn.Linear(8, OUTPUTS)
    return [
        nn.Conv2d(2, 8, 3, padding=1),
        nn.AvgPool2d(2),
        Neurons,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        last,
        Neurons,
    ]


def _batch_normed() -> Sequence[Layer]:
    images = [nn.Conv2d(2, 6, 3, bias=False), nn.BatchNorm2d(6), Neurons, nn.Flatten()]
    return [*images, nn.Linear(6 * 36, OUTPUTS), nn.BatchNorm1d(OUTPUTS), Neurons]


def _vector_normed() -> Sequence[Layer]:
    first = [nn.Linear(INPUTS, HIDDEN), nn.LayerNorm(HIDDEN), Neurons]
    return [*first, nn.Linear(HIDDEN, OUTPUTS), nn.RMSNorm(OUTPUTS), Neurons]


def _group_normed() -> Sequence[Layer]:
    first = [nn.Conv2d(2, 6, 3), nn.GroupNorm(2, 6), Neurons]
    return [*first, nn.Conv2d(6, 4, 3), nn.InstanceNorm2d(4, affine=True), Neurons]


def _activated() -> Sequence[Layer]:
    first = [nn.Linear(INPUTS, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN)]
    return [*first, Neurons, nn.Linear(HIDDEN, OUTPUTS), nn.Softplus(), nn.Linear(OUTPUTS, OUTPUTS), nn.Softmax(-1)]


def _nested(weights: Weights) -> nn.Module:
    return draw_weights(Nested(), weights)


CASES = [
    _case("Linear", "with and without bias",
          lambda: [nn.Linear(INPUTS, HIDDEN, bias=False), Neurons, nn.Linear(HIDDEN, OUTPUTS), Neurons]),
    _case("Conv1d, MaxPool1d", "",
          lambda: [nn.Conv1d(3, 8, 3, padding=1), Neurons, nn.MaxPool1d(2), nn.Conv1d(8, 6, 3), Neurons], 3, 12),
    _case("Conv2d, MaxPool2d", "stride, padding, groups", _convolved, 2, 10, 10),
    _case("AvgPool2d, AdaptiveAvgPool2d", "", _averaged, 2, 8, 8, gain=2.0, tie=2.0),
    _case("BatchNorm1d, BatchNorm2d", "", _batch_normed, 2, 8, 8, exact=False),
    _case("LayerNorm, RMSNorm", "", _vector_normed, exact=False),
    _case("GroupNorm, InstanceNorm2d", "", _group_normed, 2, 8, 8, exact=False),
    _case("Embedding", "", lambda: [nn.Embedding(TOKENS, HIDDEN), Neurons], draw=_tokens),
    _case("GELU, SiLU, Softplus, Softmax", "", _activated, exact=False),
    _case("Delay", "queue", _delayed(Shifted)),
    _case("Delay", "roll", _delayed(Rolled)),
    _case("Delay", "slices", _delayed(Moved)),
    _case("Delay", "ring buffer", _delayed(Ring)),
    Case("PyTorch", "Nested state", "made by the model", _nested, starts_itself=True),
    Case("PyTorch", "Nested state", "given", _nested, states=(nested_state(),)),
]  # fmt: skip
