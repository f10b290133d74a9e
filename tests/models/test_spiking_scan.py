"""The training forms equal the tick-by-tick equations, forward and backward."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from astroedge.models.spiking_scan import ATTENTION_CHUNK, decayed_attention, fire, leaky_scan, spike


def walk(current: Tensor, decay: Tensor, initial: Tensor, threshold: float, readout: Tensor) -> tuple[Tensor, Tensor]:
    """`leaky_scan` by its equations, a tick at a time, the reset not differentiated."""
    left, spikes = initial, []
    for now, help_ in zip(current, readout, strict=True):
        membrane = decay * left + now
        spikes.append(spike(membrane + help_, threshold))
        left = membrane - spikes[-1].detach() * threshold
    return torch.stack(spikes), left


def test_a_membrane_on_its_threshold_fires() -> None:
    """The step is 1 at 0, and the spikes keep the membrane's dtype."""
    membrane = torch.tensor([0.99, 1.0, 1.01])
    assert fire(membrane, 1.0).tolist() == [0.0, 1.0, 1.0]
    assert fire(membrane.double(), 1.0).dtype == torch.float64


def test_the_surrogate_is_one_at_the_threshold_and_falls_with_the_square() -> None:
    """The derivative is 1 / (1 + (π x)²) at distance x."""
    membrane = torch.tensor([1.0, 2.0, 0.5], requires_grad=True)
    spike(membrane, 1.0).sum().backward()
    expected = [1.0, 1 / (1 + math.pi**2), 1 / (1 + (math.pi / 2) ** 2)]
    torch.testing.assert_close(membrane.grad, torch.tensor(expected))


def test_leaky_scan_equals_the_walk_and_has_its_gradients() -> None:
    """Spikes, last state and the gradients of every argument equal those of the equations."""
    generator = torch.Generator().manual_seed(1)
    shapes = {"current": (40, 3, 8), "decay": (8,), "initial": (3, 8), "readout": (40, 3, 8)}
    values = {name: torch.rand(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}
    weights = torch.randn((40, 3, 8), generator=generator, dtype=torch.float64)
    gradients = []
    for form in (leaky_scan, walk):
        arguments = {name: value.clone().requires_grad_() for name, value in values.items()}
        c, d, i, r = (arguments[name] for name in shapes)
        spikes, left = form(c, d, i, 1.25, r)
        assert 0.1 < spikes.mean() < 0.9
        ((spikes * weights).sum() + (left**2).sum()).backward()
        gradients.append([spikes.detach(), left.detach(), *(argument.grad for argument in arguments.values())])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-12, atol=1e-12)


def test_decayed_attention_equals_the_memory_it_unrolls() -> None:
    """Across a chunk boundary and from a given memory, outputs and last memory equal the recurrence."""
    generator = torch.Generator().manual_seed(2)
    ticks, batch, heads, width = ATTENTION_CHUNK + 9, 2, 3, 4
    shape = (ticks, batch, heads, width)
    q, k = ((torch.rand(shape, generator=generator) < 0.3).double() for _ in range(2))
    v = torch.randn(shape, generator=generator, dtype=torch.float64)
    decay = torch.tensor([0.5, 0.9, 0.995], dtype=torch.float64)
    memory = torch.randn((batch, heads, width, width), generator=generator, dtype=torch.float64)
    outputs, last = decayed_attention(q, k, v, decay, memory)
    for t in range(ticks):
        memory = decay[:, None, None] * memory + k[t][..., :, None] * v[t][..., None, :]
        torch.testing.assert_close(outputs[t], (q[t][..., None, :] @ memory)[..., 0, :], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(last, memory, rtol=1e-10, atol=1e-10)


def test_membranes_keep_their_dtype() -> None:
    """A current in bfloat16, as matrices give it under autocast, is summed in float32 where the state is float32."""
    torch.manual_seed(1)
    current, readout = (torch.randn(6, 2, 3).bfloat16().requires_grad_() for _ in range(2))
    decay, initial = torch.rand(3), torch.randn(2, 3)
    spikes, left = leaky_scan(current, decay, initial, 1.0, readout)
    wanted = leaky_scan(current.float(), decay, initial, 1.0, readout.float())
    assert spikes.dtype == left.dtype == torch.float32
    assert torch.equal(spikes, wanted[0])
    assert torch.equal(left, wanted[1])
    assert all(tensor.dtype == torch.bfloat16 for tensor in torch.autograd.grad(spikes.sum(), (current, readout)))
