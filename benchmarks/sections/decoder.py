"""A standard transformer decoder with a key–value cache, stepped by ONNX Runtime: what a language model is today.

Pre-norm blocks of causal self-attention and a GELU feed-forward pair, sinusoidal positions (they have no weights), a
token embedding before and a layer norm and a linear head after. The cache is allocated once for the whole context, and
a tick writes its key and value into it: in the graph a ScatterND, whose result is bound to the very buffer it starts
from, so that ONNX Runtime copies nothing. Of the ways tried this is the fastest at every context: caches that grow by
Concat, keys stored transposed, and ONNX Runtime's own GroupQueryAttention and MultiHeadAttention take 1.1 to 9 times as
long for the attention of a layer.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter_ns
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from astroedge.abi.aligned import aligned_zeros
from astroedge.step.onnx_session import open_session
from benchmarks.networks.suite import Array
from benchmarks.timing.contenders import Microseconds, Ticker

LONGEST = 8192  # positions that have an encoding


@dataclass(frozen=True)
class DecoderConfig:
    """Sizes; the defaults have 24.7 million weights, as many as the largest AstroSNN of the suite."""

    vocabulary: int = 4096
    width: int = 512
    heads: int = 8
    feed_forward: int = 2304
    layers: int = 6


class DecoderBlock(nn.Module):
    """Causal self-attention and a feed-forward pair, each added to the residual."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm_attention, self.norm_feed_forward = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.W_qkv, self.W_o = nn.Linear(config.width, 3 * config.width), nn.Linear(config.width, config.width)
        self.W_up = nn.Linear(config.width, config.feed_forward)
        self.W_down = nn.Linear(config.feed_forward, config.width)

    def forward(
        self, x: Tensor, position: Tensor, mask: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One token: `x (1, D)`, the cache `(h, C, d)` of keys and of values → `x` and the cache with this token in it.

        `mask (C,)` is added to the scores: 0 for positions up to this one, −∞ after it.
        """
        q, k, v = (part.reshape(self.heads, 1, -1) for part in self.W_qkv(self.norm_attention(x)).chunk(3, dim=1))
        head = torch.arange(self.heads)
        place = (head, position.expand(self.heads))
        keys, values = keys.index_put(place, k[:, 0]), values.index_put(place, v[:, 0])
        scores = q @ keys.transpose(1, 2) * q.shape[2] ** -0.5 + mask
        x = x + self.W_o((scores.softmax(-1) @ values).reshape(1, -1))
        return x + self.W_down(nn.functional.gelu(self.W_up(self.norm_feed_forward(x)))), keys, values


class Decoder(nn.Module):
    """One token of the decoder, its cache as arguments and results."""

    positions: Tensor

    def __init__(self, config: DecoderConfig | None = None) -> None:
        """Fresh weights from torch's global generator."""
        super().__init__()
        self.config = config = config or DecoderConfig()
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.blocks = nn.ModuleList(DecoderBlock(config) for _ in range(config.layers))
        self.norm, self.head = nn.LayerNorm(config.width), nn.Linear(config.width, config.vocabulary, bias=False)
        angles = torch.arange(LONGEST)[:, None] / 10_000 ** (torch.arange(0, config.width, 2) / config.width)
        self.register_buffer("positions", torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1))

    def cache(self, context: int) -> list[Tensor]:
        """Keys and values of each layer for `context` tokens, zeros."""
        config = self.config
        shape = (config.heads, context, config.width // config.heads)
        return [torch.zeros(shape) for _ in range(2 * config.layers)]

    def forward(self, token: Tensor, position: Tensor, *cache: Tensor) -> tuple[Tensor, ...]:
        """`token` and `position`, both `(1,)` int64, and the cache → `logits (1, vocabulary)` and the cache."""
        x = self.embedding(token) + self.positions[position]
        mask = torch.where(torch.arange(cache[0].shape[1]) <= position, 0.0, -torch.inf)
        following: list[Tensor] = []
        for layer, block in enumerate(self.blocks):
            x, *kept = block(x, position, mask, *cache[2 * layer : 2 * layer + 2])
            following += kept
        return self.head(self.norm(x)), *following


class DecoderGraphs:
    """The decoder exported for any context, in float32 and with weights in int8."""

    def __init__(self, config: DecoderConfig | None = None) -> None:
        torch.manual_seed(0)
        self.decoder = Decoder(config).eval().requires_grad_(False)
        self.models = {"fp32": export(self.decoder)}
        self.models["int8"] = quantise(self.models["fp32"])

    @property
    def weights(self) -> int:
        """Number of weights, biases and embeddings."""
        return sum(parameter.numel() for parameter in self.decoder.parameters())


def export(decoder: Decoder) -> onnx.ModelProto:
    """The ONNX graph of a token; inputs `token`, `position`, `cache.i`, outputs `logits`, `next.i`."""
    cache = decoder.cache(24)
    context = torch.export.Dim("context", min=2, max=LONGEST)
    arguments = (torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64), *cache)
    shapes: tuple[Any, ...] = ({}, {}, tuple({1: context} for _ in cache))
    program = torch.export.export(decoder, arguments, dynamic_shapes=shapes)
    exported = torch.onnx.export(
        program.run_decompositions(),
        dynamo=True,
        input_names=["token", "position", *(f"cache.{index}" for index in range(len(cache)))],
        output_names=["logits", *(f"next.{index}" for index in range(len(cache)))],
        verbose=False,
    )
    assert exported is not None
    model: onnx.ModelProto = exported.model_proto
    return model


def quantise(model: onnx.ModelProto) -> onnx.ModelProto:
    """Weights of matrix products in int8 by output channel, activations as they come: ONNX Runtime's dynamic recipe."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, source)
        options = {"MatMulConstBOnly": True}
        quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QInt8, extra_options=options)
        return onnx.load(target)


class DecoderStream(Ticker):
    """The decoder in ONNX Runtime with a full cache of `context` tokens, whose last place each tick writes again."""

    def __init__(self, model: onnx.ModelProto, config: DecoderConfig, context: int, threads: int) -> None:
        self._session = open_session(model, threads=threads)
        self._token = np.zeros(1, np.int64)
        self.cache = _random_cache(config, context)
        position, logits = np.array([context - 1]), np.zeros((1, config.vocabulary), np.float32)
        share = onnxruntime.OrtValue.ortvalue_from_numpy  # on the CPU it shares the array's memory
        self._binding: Any = self._session.io_binding()
        for name, array in {"token": self._token, "position": position}.items():
            self._binding.bind_ortvalue_input(name, share(array))
        self._binding.bind_ortvalue_output("logits", share(logits))
        for index, array in enumerate(self.cache):
            buffer = share(array)
            self._binding.bind_ortvalue_input(f"cache.{index}", buffer)
            self._binding.bind_ortvalue_output(f"next.{index}", buffer)
        self.logits = logits

    @property
    def cache_bytes(self) -> int:
        """What the context takes in memory."""
        return sum(array.nbytes for array in self.cache)

    def time_block(self, inputs: dict[str, Array]) -> Microseconds:
        """Microseconds of each token."""
        run, binding, given, samples = self._session.run_with_iobinding, self._binding, self._token, []
        gc.disable()
        for token in inputs["token"]:
            begin = perf_counter_ns()
            given[...] = token
            run(binding)
            samples.append(perf_counter_ns() - begin)
        gc.enable()
        return np.array(samples) / 1e3


def _random_cache(config: DecoderConfig, context: int) -> list[Array]:
    """Random keys and values in aligned memory; which ones does not matter for the time."""
    generator = np.random.default_rng(0)
    shape = (config.heads, context, config.width // config.heads)
    arrays = [aligned_zeros(int(np.prod(shape)) * 4).view(np.float32).reshape(shape) for _ in range(2 * config.layers)]
    for array in arrays:
        array[...] = generator.standard_normal(shape, np.float32)
    return arrays
