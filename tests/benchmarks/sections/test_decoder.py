"""The transformer decoder that AstroSNN is compared with computes causal attention, in PyTorch and in ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from benchmarks.sections.decoder import Decoder, DecoderConfig, DecoderStream, export, quantise

CONFIG = DecoderConfig(vocabulary=40, width=32, heads=4, feed_forward=48, layers=2)
CONTEXT = 9


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    """A small decoder with random weights."""
    torch.manual_seed(1)
    return Decoder(CONFIG).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def model(decoder: Decoder) -> onnx.ModelProto:
    """The decoder exported."""
    return export(decoder)


def whole_sequence(decoder: Decoder, tokens: Tensor) -> Tensor:
    """Logits of every token of `tokens (T,)` at once, with PyTorch's own causal attention."""
    x = decoder.embedding(tokens) + decoder.positions[: len(tokens)]
    for block in decoder.blocks:
        q, k, v = (
            part.reshape(len(tokens), CONFIG.heads, -1).transpose(0, 1)
            for part in block.W_qkv(block.norm_attention(x)).chunk(3, dim=1)
        )
        attended = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + block.W_o(attended.transpose(0, 1).reshape(len(tokens), -1))
        x = x + block.W_down(nn.functional.gelu(block.W_up(block.norm_feed_forward(x))))
    return decoder.head(decoder.norm(x))


def test_a_token_at_a_time_is_causal_attention(decoder: Decoder) -> None:
    """Stepped with a cache that is longer than what was seen, it gives the logits of the whole sequence."""
    tokens = torch.randint(CONFIG.vocabulary, (CONTEXT - 2,), generator=torch.Generator().manual_seed(2))
    cache, logits = decoder.cache(CONTEXT), []
    for position, token in enumerate(tokens):
        output, *cache = decoder(token[None], torch.tensor([position]), *cache)
        logits.append(output)
    torch.testing.assert_close(torch.cat(logits), whole_sequence(decoder, tokens), rtol=1e-4, atol=1e-5)


def test_onnx_runtime_writes_the_cache_in_place(decoder: Decoder, model: onnx.ModelProto) -> None:
    """Bound to one buffer as input and output, the cache holds the new key and value, and the logits are PyTorch's."""
    stream = DecoderStream(model, CONFIG, CONTEXT, threads=1)
    cache = [torch.from_numpy(array.copy()) for array in stream.cache]
    expected, *following = decoder(torch.tensor([7]), torch.tensor([CONTEXT - 1]), *cache)
    times = stream.time_block({"token": np.array([[7]])})
    assert times.shape == (1,)
    np.testing.assert_allclose(stream.logits, expected.numpy(), rtol=1e-4, atol=1e-5)
    for array, tensor, before in zip(stream.cache, following, cache, strict=True):
        np.testing.assert_allclose(array, tensor.numpy(), rtol=1e-4, atol=1e-5)
        assert not np.array_equal(array[:, -1], before[:, -1])
    assert stream.cache_bytes == 2 * CONFIG.layers * CONTEXT * CONFIG.width * 4


def test_the_quantised_decoder_is_close(decoder: Decoder, model: onnx.ModelProto) -> None:
    """Its products are of integers, and its logits lie near those of float32."""
    small = quantise(model)
    assert sum(node.op_type == "MatMulInteger" for node in small.graph.node) == 4 * CONFIG.layers + 1
    feeds = {"token": np.array([7]), "position": np.array([CONTEXT - 1])}
    feeds |= {f"cache.{index}": tensor.numpy() for index, tensor in enumerate(decoder.cache(CONTEXT))}
    full, quantised = (
        onnxruntime.InferenceSession(item.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            ["logits"], feeds
        )[0]
        for item in (model, small)
    )
    assert np.abs(full - quantised).max() < 0.1 * np.abs(full).max()


def test_it_is_as_large_as_the_largest_astrosnn() -> None:
    """By default it has 24.7 million weights."""
    weights = sum(parameter.numel() for parameter in Decoder().parameters())
    assert round(weights / 1e6, 1) == 24.7
