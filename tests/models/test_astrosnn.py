"""AstroSNN: the whole-sequence form equals the step, and the step survives export to ONNX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from astroedge.errors import InputError
from astroedge.models import AstroSNN, AstroSNNConfig, AstroSNNStep

CONFIG = AstroSNNConfig(vocabulary=37, width=24, heads=3, feed_forward=40, layers=2)


@pytest.fixture
def model() -> AstroSNN:
    """A small network with fixed random weights, in evaluation mode."""
    torch.manual_seed(5)
    return AstroSNN(CONFIG).eval()


@pytest.fixture
def tokens() -> Tensor:
    """Three streams of 150 tokens."""
    return torch.randint(0, CONFIG.vocabulary, (3, 150), generator=torch.Generator().manual_seed(6))


def walk(model: AstroSNN, tokens: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """The logits `(B, T, vocabulary)` and last state of stepping through `tokens`."""
    logits = []
    for t in range(tokens.shape[1]):
        output, *state = model.step(tokens[:, t], *state)
        logits.append(output)
    return torch.stack(logits, 1), state


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_forward_equals_stepping(model: AstroSNN, tokens: Tensor, dtype: torch.dtype, tolerance: float) -> None:
    """Logits and states of 150 ticks agree to rounding: a spike that differed would move a membrane by a threshold."""
    model.to(dtype)
    with torch.no_grad():
        logits, state = model(tokens)
        expected, last = walk(model, tokens, model.initial_state(3))
    torch.testing.assert_close(logits, expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(state, last, rtol=tolerance, atol=tolerance)


def test_a_sequence_may_be_cut_anywhere(model: AstroSNN, tokens: Tensor) -> None:
    """Two pieces with the state handed over give what one piece gives."""
    model.double()
    with torch.no_grad():
        whole, last = model(tokens)
        first, state = model(tokens[:, :61])
        second, state = model(tokens[:, 61:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(state, last, rtol=1e-12, atol=1e-12)


def test_every_hidden_layer_fires_and_falls_silent(model: AstroSNN, tokens: Tensor) -> None:
    """All six spike tensors of a block are reported, hold zeros and ones only, and fire between 2 and 50 %."""
    spikes: dict[str, Tensor] = {}
    with torch.no_grad():
        model(tokens, None, spikes)
    names = ("a", "astro.W_q", "astro.W_k", "astro.r", "c", "f")
    assert set(spikes) == {f"blocks.{layer}.{name}.spike" for layer in range(2) for name in names}
    for name, tensor in spikes.items():
        assert set(tensor.unique().tolist()) == {0.0, 1.0}, name
        assert 0.02 < tensor.mean() < 0.5, name


def test_every_parameter_learns(model: AstroSNN, tokens: Tensor) -> None:
    """The gradient reaches every parameter, through spikes, memories and membranes."""
    logits, _ = model.train()(tokens)
    torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_streams_of_a_batch_do_not_touch(model: AstroSNN, tokens: Tensor) -> None:
    """A stream gives the same logits alone and beside others."""
    model.double()
    with torch.no_grad():
        together, alone = model(tokens)[0][1:2], model(tokens[1:2])[0]
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)


def test_memory_is_stored_key_first(model: AstroSNN) -> None:
    """After one tick from rest H is the outer product of key spikes (rows) and values (columns)."""
    unit = model.blocks[0].astro
    z = (torch.rand((1, CONFIG.width), generator=torch.Generator().manual_seed(7)) < 0.5).float()
    H, *_ = model.initial_state(1)
    with torch.no_grad():
        _, H, _ = unit.step(z, H, torch.zeros(1, CONFIG.width))
        key = (unit.W_k(z) >= CONFIG.theta_k).float().reshape(CONFIG.heads, CONFIG.head_width)
        value = unit.W_v(z).reshape(CONFIG.heads, CONFIG.head_width)
    assert 0 < key.mean() < 1
    torch.testing.assert_close(H[0], key[:, :, None] * value[:, None, :])


def test_state_is_named_and_shaped(model: AstroSNN) -> None:
    """Names, order and shapes of the state are those that `step` takes and gives."""
    names, state = model.state_names(), model.initial_state(2)
    assert names[:5] == ["blocks.0.astro.H", "blocks.0.a", "blocks.0.astro.r", "blocks.0.c", "blocks.0.f"]
    assert len(names) == len(state) == 10
    assert [tuple(tensor.shape) for tensor in state[:5]] == [(2, 3, 8, 8), (2, 24), (2, 24), (2, 24), (2, 40)]
    _, *following = model.step(torch.tensor([1, 2]), *state)
    assert [tensor.shape for tensor in following] == [tensor.shape for tensor in state]


@pytest.mark.parametrize("wrong", [{"width": 25}, {"layers": 0}, {"shortest_memory": 9.0, "longest_memory": 3.0}])
def test_an_impossible_size_is_refused(wrong: dict[str, float]) -> None:
    """A width its heads don't divide, no layers, or memories in the wrong order raise InputError."""
    with pytest.raises(InputError):
        AstroSNNConfig(**wrong)  # type: ignore[arg-type]


def test_the_frozen_step_is_its_own(model: AstroSNN, tokens: Tensor) -> None:
    """The frozen step gives the model's bits, has no parameter in its decays, and does not follow later training."""
    step, state = AstroSNNStep(model), model.initial_state(3)
    with torch.no_grad():
        before = model.step(tokens[:, 0], *state)
        for one, other in zip(step(tokens[:, 0], *state), before, strict=True):
            assert torch.equal(one, other)
        model.blocks[0].alpha.raw.zero_()
        model.embedding.weight.zero_()
        for one, other in zip(step(tokens[:, 0], *state), before, strict=True):
            assert torch.equal(one, other)
    assert not [name for name, _ in step.named_parameters() if "raw" in name or "tau" in name]


def test_onnx_runtime_follows_the_exported_step(model: AstroSNN, tokens: Tensor, tmp_path: Path) -> None:
    """The ONNX step shows each spike as a comparison and a cast, and follows torch over 150 ticks."""
    step, state = AstroSNNStep(model), model.initial_state(1)
    program = torch.export.export(step, (tokens[:1, 0], *state)).run_decompositions()
    inputs = ["token", *(f"state.{name}" for name in model.state_names())]
    outputs = ["logits", *(f"next.{name}" for name in model.state_names())]
    exported = torch.onnx.export(program, dynamo=True, input_names=inputs, output_names=outputs, verbose=False)
    assert exported is not None
    exported.save(tmp_path / "step.onnx")
    graph = onnx.load(tmp_path / "step.onnx").graph
    casts = {node.input[0] for node in graph.node if node.op_type == "Cast"}
    comparisons = [node for node in graph.node if node.op_type == "GreaterOrEqual"]
    assert len(comparisons) == 6 * CONFIG.layers
    assert all(node.output[0] in casts for node in comparisons)
    assert sum(node.op_type == "Sigmoid" for node in graph.node) == CONFIG.layers  # W_x only: decays are constants

    session = onnxruntime.InferenceSession(tmp_path / "step.onnx", providers=["CPUExecutionProvider"])
    arrays = [tensor.numpy() for tensor in state]
    for t in range(tokens.shape[1]):
        with torch.no_grad():
            logits, *state = step(tokens[:1, t], *state)
        got, *arrays = session.run(None, dict(zip(inputs, [tokens[:1, t].numpy(), *arrays], strict=True)))
        np.testing.assert_allclose(got, logits.numpy(), rtol=1e-4, atol=1e-4)
