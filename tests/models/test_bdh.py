"""BDH: its equations, its memory beside the attention that it stands for, and the compiled step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

import astroedge
from astroedge.errors import InputError
from astroedge.models import BDH, BDHConfig
from tests.support.equations import norm
from tests.support.stepping import Array, assert_fires, assert_follows, compiled, walk

CONFIG = BDHConfig(vocabulary=50, width=24, heads=2, neurons=32, layers=2)


@pytest.fixture
def model() -> BDH:
    """A small model with random weights."""
    torch.manual_seed(6)
    return BDH(CONFIG).eval()


def tokens(ticks: int, streams: int) -> torch.Tensor:
    """Random tokens."""
    return torch.randint(50, (ticks, streams), generator=torch.Generator().manual_seed(7))


def turned(a: Array, t: Array, frequencies: Array) -> Array:
    """Rot_t as a product of complex numbers; `t (B, 1)` or a number."""
    angles = t * 2 * np.pi * frequencies
    pairs = (a[..., ::2] + 1j * a[..., 1::2]) * np.exp(1j * angles)
    return np.stack((pairs.real, pairs.imag), -1).reshape(a.shape)


def equations(
    parameters: dict[str, Array], inputs: Sequence[Array], state: Sequence[Array]
) -> tuple[Array, list[Array]]:
    """One tick as the module's docstring has it."""
    *memories, t = state
    p, neurons = parameters, CONFIG.neurons
    frequencies = np.float32(2.0 ** (-16 * np.arange(0, neurons, 2) / neurons) / (2 * np.pi)).astype(np.float64)
    x = norm(p["embedding.weight"][inputs[0]])
    following = []
    for S in memories:
        a = np.maximum(x @ p["E.weight"].T, 0).reshape(len(x), CONFIG.heads, neurons)
        rotated = turned(a, t[:, None], frequencies)
        c = np.einsum("bhn,bhnd->bhd", rotated, S)
        following.append(S + np.einsum("bhn,bd->bhnd", rotated, x))
        z = a * np.maximum(np.einsum("bhd,hdn->bhn", norm(c), p["F"]), 0)
        x = norm(x + norm(z.reshape(len(x), -1) @ p["Dec.weight"].T))
    return x @ p["head.weight"].T, [*following, t + 1]


def test_a_tick_is_its_equations(model: BDH) -> None:
    """Output and state of three streams over 50 ticks are those of a NumPy transcription."""
    assert_follows(model, equations, tokens(50, 3))


def test_its_memory_is_attention_over_earlier_positions(model: BDH) -> None:
    """The last tick of one layer equals causal linear attention over all earlier positions, which leaves itself out."""
    model.double()
    inputs = tokens(40, 1)
    keys, values = [], []
    with torch.no_grad():
        x = torch.nn.functional.layer_norm(model.embedding(inputs[:, 0]), (CONFIG.width,)).numpy()
        a = torch.relu(model.E(torch.from_numpy(x))).numpy().reshape(-1, CONFIG.heads, CONFIG.neurons)
    frequencies = model.frequencies.double().numpy()
    for t in range(40):
        keys.append(turned(a[t], np.float64(t), frequencies))
        values.append(x[t])
    scores = np.einsum("hn,thn->ht", keys[-1], np.stack(keys[:-1]))
    attended = np.einsum("ht,td->hd", scores, np.stack(values[:-1]))
    memory = walk(model, [inputs[:-1]], torch.float64)[-1][1][0]
    np.testing.assert_allclose(np.einsum("hn,hnd->hd", keys[-1], memory), attended, rtol=1e-9, atol=1e-9)


def test_compiled_it_skips_what_is_silent(model: BDH) -> None:
    """The compiled step follows PyTorch; the memories and Dec read sparse codes event-driven."""
    common = torch.randn(CONFIG.width, generator=torch.Generator().manual_seed(1))
    common = (common - common.mean()) / common.std()
    with torch.no_grad():
        model.embedding.weight.normal_().add_(2 * common)
        model.E.weight.normal_().sub_(0.25 * common)
    inputs = tokens(60, 1)
    bundle = compiled(model, inputs)
    with astroedge.load(bundle) as session:
        logits = session.run(token=inputs.numpy())["logits"]
        rates = {name: count.firing_rate for name, count in session.activity().items()}
    expected = np.stack([results[0] for results in walk(model, [inputs])])
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)
    kernels = {matrix.name: matrix.kernel for matrix in bundle.manifest.matrices}
    assert [kernels[f"layers.{layer}.S"] for layer in range(2)] == ["event", "event"], rates
    assert sum(kernel == "event" for kernel in kernels.values()) == 4
    assert_fires(rates)


@pytest.mark.parametrize("sizes", [{"layers": 0}, {"neurons": 7}])
def test_an_impossible_size_is_refused(sizes: dict[str, int]) -> None:
    """No layers, or neurons without a partner, raise InputError."""
    with pytest.raises(InputError):
        BDHConfig(**sizes)
