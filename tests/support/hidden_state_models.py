"""Models as people write them, with state in all the places where state hides.

Spiking ones have weights on a grid of 1/64 and a decay of 0.875, so PyTorch and ONNX Runtime must agree bit for bit.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

DECAY = 0.875
X = torch.linspace(-1.0, 2.0, 4)[None]


def on_grid(module: nn.Module, scale: float = 2.0, seed: int = 0) -> nn.Module:
    """Give every parameter of `module` reproducible values that are multiples of 1/64; ready to export."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            fan_in = parameter.shape[-1]
            values = torch.randn(parameter.shape, generator=generator) * scale / fan_in**0.5
            parameter.copy_((values * 64).round() / 64)
    return module.eval()


def spike_data(*shape: int, rate: float = 0.3, seed: int = 0) -> Tensor:
    """Zeros and ones."""
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


class BufferLIF(nn.Module):
    """Leaky integrate-and-fire neurons whose membrane is a buffer that is written in place."""

    v: Tensor

    def __init__(self, inputs: int, neurons: int) -> None:
        super().__init__()
        self.fc = nn.Linear(inputs, neurons)
        self.register_buffer("v", torch.zeros(1, neurons))

    def forward(self, x: Tensor) -> Tensor:
        self.v.mul_(DECAY).add_(self.fc(x))
        fired = (self.v >= 1.0).to(x.dtype)
        self.v.sub_(fired)
        return fired


class AttributeLIF(nn.Module):
    """The same neurons with a membrane that is a plain attribute, made in the first tick, and a hard reset."""

    def __init__(self, inputs: int, neurons: int) -> None:
        super().__init__()
        self.fc = nn.Linear(inputs, neurons)
        self.v: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        current = self.fc(x)
        if self.v is None:
            self.v = torch.zeros_like(current)
        v = DECAY * self.v + current
        fired = v >= 1.0
        self.v = torch.where(fired, torch.zeros_like(v), v)
        return fired.float()


class RecurrentNet(nn.Module):
    """Two layers, buffer and attribute state mixed, the second one's spikes fed back through a third place."""

    def __init__(self) -> None:
        super().__init__()
        self.first = BufferLIF(12, 20)
        self.feedback = nn.Linear(16, 20, bias=False)
        self.second = AttributeLIF(20, 16)
        self.out = nn.Linear(16, 4)
        self.memory = {"last": torch.zeros(1, 16)}

    def forward(self, x: Tensor) -> Tensor:
        self.first.v.add_(self.feedback(self.memory["last"]))
        spikes = self.second(self.first(x))
        self.memory["last"] = spikes
        return self.out(spikes)


class ExplicitLIF(nn.Module):
    """Adaptive neurons with explicit state: membrane v and threshold offset b."""

    def __init__(self, inputs: int = 12, neurons: int = 20, outputs: int = 3) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(inputs, neurons), nn.Linear(neurons, outputs)

    def forward(self, x: Tensor, v: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        v = DECAY * v + self.hidden(x)
        fired = (v - b >= 1.0).to(v.dtype)
        return self.out(fired), v - fired, 0.5 * b + 0.25 * fired


class Pair(NamedTuple):
    """A state as Norse writes it."""

    v: Tensor
    i: Tensor


@dataclass
class Refractory:
    """A state as a dataclass."""

    left: Tensor


class NestedState(nn.Module):
    """One state argument that nests a dict, a named tuple, a list and a dataclass; returned in another dict order."""

    def forward(self, x: Tensor, state: dict[str, object]) -> tuple[Tensor, dict[str, object]]:
        pair, line, refractory = state["pair"], state["line"], state["rest"]
        assert isinstance(pair, Pair)
        assert isinstance(line, list)
        assert isinstance(refractory, Refractory)
        i = 0.5 * pair.i + line[1]
        v = DECAY * pair.v + i
        fired = (v >= 1.0) & (refractory.left <= 0.0)
        spikes = fired.float()
        rest = Refractory(torch.where(fired, torch.full_like(v, 2.0), refractory.left - 1.0))
        return spikes, {"rest": rest, "line": [x, line[0]], "pair": Pair(v - spikes, i)}


class QueueDelay(nn.Module):
    """A delay of three ticks as a deque of tensors, and one of two as a ring buffer with a tensor for its position."""

    ring: Tensor
    position: Tensor

    def __init__(self, width: int = 5) -> None:
        super().__init__()
        self.queue = deque([torch.zeros(1, width) for _ in range(3)], maxlen=3)
        self.register_buffer("ring", torch.zeros(2, 1, width))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        delayed = self.queue.popleft()
        self.queue.append(x.clone())
        index = self.position.reshape(1)
        earlier = self.ring.index_select(0, index)[0]
        self.ring = self.ring.index_copy(0, index, x[None])
        self.position = (self.position + 1) % 2
        return delayed.clone(), earlier


class TokenNet(nn.Module):
    """An embedding, one hidden LIF layer and a head; names its outputs itself."""

    output_names = ("logits",)

    def __init__(self, vocabulary: int = 11, width: int = 16) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(vocabulary, width), nn.Linear(width, vocabulary)
        self.v: Tensor | None = None

    def forward(self, token: Tensor) -> Tensor:
        current = self.embedding(token)
        v = current if self.v is None else DECAY * self.v + current
        fired = (v > 1.0).float()
        self.v = v - fired
        return self.head(fired)


class Leaky(nn.Module):
    """Leaky neurons behind a drive that the refused ones get wrong; X is an input for them."""

    def __init__(self, drive: nn.Module) -> None:
        super().__init__()
        self.fc, self.drive = nn.Linear(4, 4), drive
        self.register_buffer("v", torch.zeros(1, 4))

    def forward(self, x: Tensor) -> Tensor:
        self.v = 0.5 * self.v + self.fc(self.drive(x))
        return self.v + 0.0
