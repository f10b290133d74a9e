"""A decoder as today's small language models are, with random weights, as the file that llama.cpp reads (GGUF).

Blocks of Llama 3.2: RMS norm, attention whose queries share keys and values in groups (GQA) with rotary positions, and
SwiGLU. All matrices have one quantisation, embedding and head included; norms are float32. The file is written by
llama.cpp's own package `gguf`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from astroedge.replace_file import replacing

BLOCK_BYTES = {"Q4_0": 18, "Q8_0": 34}  # of 32 weights: a float16 scale, and 4 or 8 bits a weight
BLOCK = 32
CACHE_BYTES = 2  # of an element of the key-value cache: float16, llama.cpp's default
ROPE_BASE, NORM_EPSILON, LONGEST = 500_000.0, 1e-5, 131_072  # those of Llama 3.2


@dataclass(frozen=True)
class LlamaConfig:
    """Sizes; widths are multiples of 32, and `kv_heads` divides `heads`."""

    vocabulary: int
    width: int
    heads: int
    kv_heads: int
    feed_forward: int
    layers: int

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Names and shapes, outputs first, in the order of the file."""
        width, kv_width = self.width, self.width // self.heads * self.kv_heads
        yield "token_embd.weight", (self.vocabulary, width)
        for layer in range(self.layers):
            shapes: dict[str, tuple[int, ...]] = {
                "attn_norm": (width,),
                "attn_q": (width, width),
                "attn_k": (kv_width, width),
                "attn_v": (kv_width, width),
                "attn_output": (width, width),
                "ffn_norm": (width,),
                "ffn_gate": (self.feed_forward, width),
                "ffn_up": (self.feed_forward, width),
                "ffn_down": (width, self.feed_forward),
            }
            yield from ((f"blk.{layer}.{name}.weight", shape) for name, shape in shapes.items())
        yield "output_norm.weight", (width,)
        yield "output.weight", (self.vocabulary, width)

    @property
    def weights(self) -> int:
        """Number of weights and embeddings."""
        return sum(prod(shape) for _, shape in self.tensors())

    def weight_bytes(self, quantisation: str) -> int:
        """What all tensors take."""
        return sum(_nbytes(shape, quantisation) for _, shape in self.tensors())

    def cache_bytes(self, context: int) -> int:
        """Keys and values of `context` tokens."""
        return 2 * self.layers * context * self.width // self.heads * self.kv_heads * CACHE_BYTES

    def touched_bytes(self, quantisation: str, context: int) -> int:
        """What a token after `context` tokens must read or write: all weights, one row of the embedding, the cache."""
        unread = _nbytes((self.vocabulary - 1, self.width), quantisation)
        return self.weight_bytes(quantisation) - unread + self.cache_bytes(context + 1)


def write_gguf(path: Path, config: LlamaConfig, quantisation: str) -> None:
    """Write a network with random weights, quantised to `Q4_0` or `Q8_0`; the same ones every time.

    A matrix is drawn and quantised once for each shape; layers have its rows in different orders, so that 1.5 billion
    weights take seconds and little memory. They are scaled so that activations stay finite.
    """
    import gguf

    kind = gguf.GGMLQuantizationType[quantisation]
    with replacing(path, path.with_suffix(".partial")) as partial:
        writer = gguf.GGUFWriter(partial, "llama")
        _describe(writer, config)
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{quantisation}"])
        for name, shape in config.tensors():
            nbytes = _nbytes(shape, quantisation)
            if len(shape) == 1:
                writer.add_tensor_info(name, shape, np.dtype(np.float32), nbytes)
            else:
                stored = gguf.quant_shape_to_byte_shape(shape, kind)
                writer.add_tensor_info(name, stored, np.dtype(np.uint8), nbytes, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        drawn: dict[tuple[int, ...], Any] = {}
        for position, (_, shape) in enumerate(config.tensors()):
            if len(shape) == 1:
                writer.write_tensor_data(np.ones(shape, np.float32))
                continue
            if shape not in drawn:
                drawn[shape] = gguf.quantize(_draw(shape, len(drawn)), kind)
            writer.write_tensor_data(np.roll(drawn[shape], position, axis=0))
        writer.close()


def _describe(writer: Any, config: LlamaConfig) -> None:
    """The sizes, and a vocabulary without words: tokens go in and logits come out as numbers."""
    writer.add_name(f"random llama {config.width}x{config.layers}")
    writer.add_vocab_size(config.vocabulary)
    writer.add_context_length(LONGEST)
    writer.add_embedding_length(config.width)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.feed_forward)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_rope_dimension_count(config.width // config.heads)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_layer_norm_rms_eps(NORM_EPSILON)
    writer.add_tokenizer_model("none")


def _draw(shape: tuple[int, ...], seed: int) -> Any:
    """Normal weights that give outputs of unit variance."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32) * np.float32(shape[-1] ** -0.5)


def _nbytes(shape: tuple[int, ...], quantisation: str) -> int:
    return 4 * prod(shape) if len(shape) == 1 else prod(shape) // BLOCK * BLOCK_BYTES[quantisation]
