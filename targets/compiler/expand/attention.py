"""Attention and rotary embeddings as products, softmax and element-wise operators (ONNX operator sets 23 and later)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from astroedge.step.node_builder import NodeBuilder
from astroedge.targets.compiler.expand.expansion import Call, Rule, refuse
from astroedge.targets.compiler.expand.forms import reduced, reshaped, sliced

_Bias = str | NDArray[Any] | None
SCORES, CAPPED, MASKED, PROBABILITIES = range(4)  # what `qk_matmul_output_mode` asks for
WINDOWS = ("left_window_size", "right_window_size")


def attention(call: Call, builder: NodeBuilder) -> bool:
    """Softmax(Q·Kᵀ·scale + bias)·V for each head, with a cache before K and V; heads of K and V may serve several of Q.

    The scale is multiplied into Q alone. A row whose keys are all masked gives 0.
    """
    if any(int(call.options.get(name, -1)) >= 0 for name in WINDOWS):
        refuse(call, "a sliding window")
    query, batch, heads, length = _heads_apart(call, builder, 0, "q_num_heads")
    key, _, served, _ = _heads_apart(call, builder, 1, "kv_num_heads")
    value = _heads_apart(call, builder, 2, "kv_num_heads")[0]
    key = _behind_past(call, builder, key, 4, 1)
    value = _behind_past(call, builder, value, 5, 2)
    total = _keys(call)
    width, dtype = call.shape(0)[-1] // (heads if len(call.shape(0)) == 3 else 1), call.dtype(0)
    scale = float(call.options.get("scale", 1 / np.sqrt(width)))
    query = builder.op("Mul", [query, builder.constant(scale, dtype, "scale")])
    query = reshaped(builder, query, (batch, served, heads // served * length, width))
    turned = builder.op("Transpose", [key], perm=[0, 1, 3, 2])
    scores = reshaped(builder, builder.op("MatMul", [query, turned]), (batch, heads, length, total))
    stages, bias = [scores, _capped(call, builder, scores)], _bias(call, builder, length, total)
    if bias is None:
        stages.append(stages[CAPPED])
    else:
        added = bias if isinstance(bias, str) else builder.constant(bias, dtype, "mask")
        stages.append(builder.op("Add", [stages[CAPPED], added]))
    stages.append(_softmax(call, builder, stages[MASKED], bias))
    if call.output(3):
        builder.op("Identity", [stages[int(call.options.get("qk_matmul_output_mode", SCORES))]], call.output(3))
    weights = reshaped(builder, stages[PROBABILITIES], (batch, served, heads // served * length, total))
    mixed = builder.op("MatMul", [weights, value])
    depth = call.shape(2)[-1] // (served if len(call.shape(2)) == 3 else 1)
    if len(call.shape(0)) == 4:
        reshaped(builder, mixed, (batch, heads, length, depth), call.output(0))
        return True
    apart = reshaped(builder, mixed, (batch, heads, length, depth))
    beside = builder.op("Transpose", [apart], perm=[0, 2, 1, 3])
    reshaped(builder, beside, (batch, length, heads * depth), call.output(0))
    return True


def _heads_apart(call: Call, builder: NodeBuilder, position: int, count: str) -> tuple[str, int, int, int]:
    """An operand as [batch, heads, length, width], with the first three of these."""
    shape = call.shape(position)
    if len(shape) == 4:
        return call.input(position), shape[0], shape[1], shape[2]
    heads = int(call.options[count])
    split = reshaped(builder, call.input(position), (shape[0], shape[1], heads, shape[2] // heads))
    return builder.op("Transpose", [split], perm=[0, 2, 1, 3]), shape[0], heads, shape[1]


def _behind_past(call: Call, builder: NodeBuilder, value: str, past: int, output: int) -> str:
    """Keys or values with those of the cache in front, which are an output too where that is asked for."""
    present = call.output(output) or None
    if call.input(past):
        return builder.op("Concat", [call.input(past), value], present, axis=2)
    return builder.op("Identity", [value], present) if present else value


def _keys(call: Call) -> int:
    """How many keys there are, those of the cache included."""
    past = call.shape(4)[2] if call.input(4) else 0
    return past + call.shape(1)[-2]


def _capped(call: Call, builder: NodeBuilder, scores: str) -> str:
    cap = float(call.options.get("softcap", 0.0))
    if cap <= 0:
        return scores
    limit = builder.constant(cap, call.dtype(0), "softcap")
    return builder.op("Mul", [builder.op("Tanh", [builder.op("Div", [scores, limit])]), limit])


def _softmax(call: Call, builder: NodeBuilder, scores: str, bias: _Bias) -> str:
    """The probabilities of keys; 0 where every key is masked, which only the bias can say."""
    half = call.options.get("softmax_precision") == TensorProto.FLOAT16 and call.dtype(0) != np.float16
    if half:
        scores = builder.op("Cast", [scores], to=TensorProto.FLOAT16)
    probabilities = builder.op("Softmax", [scores], axis=-1)
    if half:
        probabilities = builder.op("Cast", [probabilities], to=TensorProto.FLOAT)
    if isinstance(bias, str):
        best = reduced(call, builder, "ReduceMax", bias, [-1])
        nowhere = builder.op("Equal", [best, builder.constant(-np.inf, call.dtype(0), "masked")])
    else:
        empty = np.isneginf(0 if bias is None else bias.max(-1, keepdims=True))
        if not empty.any():
            return probabilities
        nowhere = builder.constant(empty, np.bool_, "nowhere")
    return builder.op("Where", [nowhere, builder.constant(0, call.dtype(0), "nothing"), probabilities])


def _bias(call: Call, builder: NodeBuilder, length: int, total: int) -> _Bias:
    """0 for a key that a query may see and −∞ for one that it may not, plus a mask of numbers; None for no mask.

    What is known beforehand is an array; the name of a value else.
    """
    known: list[NDArray[Any]] = []
    computed: list[str] = []
    mask = call.constant(3)
    if mask is not None:
        known.append(np.where(mask, 0, -np.inf) if mask.dtype == np.bool_ else mask)
    elif call.input(3):
        computed.append(_seen(call, builder, call.input(3)) if call.dtype(3) == np.bool_ else call.input(3))
    causal, lengths = bool(call.options.get("is_causal")), call.constant(6)
    if lengths is not None:
        known += [np.where(seen, 0, -np.inf) for seen in _within(lengths.reshape(-1, 1, 1, 1), length, total, causal)]
    elif call.input(6):
        computed += _computed_within(call, builder, length, total, causal)
    elif causal:
        past = np.full(1, length + (call.shape(4)[2] if call.input(4) else 0))
        known.append(np.where(_within(past, length, total, True)[1], 0, -np.inf))
    if not computed:
        return np.asarray(sum(known)) if known else None
    terms = [*computed, *(builder.constant(item, call.dtype(0), "mask") for item in known)]
    while len(terms) > 1:
        terms = [builder.op("Add", terms[:2]), *terms[2:]]
    return terms[0]


def _within(lengths: NDArray[Any], length: int, total: int, causal: bool) -> list[NDArray[np.bool_]]:
    """Which keys lie within the lengths; with `causal` also which lie before a query, the last of which is the end."""
    places, queries = np.arange(total), np.arange(length)[:, None]
    return [places < lengths, *([places <= lengths + queries - length] if causal else [])]


def _computed_within(call: Call, builder: NodeBuilder, length: int, total: int, causal: bool) -> list[str]:
    """The same as biases, for lengths that are computed."""
    lengths = builder.op("Cast", [call.input(6)], to=TensorProto.INT64)
    lengths = reshaped(builder, lengths, (call.shape(6)[0], 1, 1, 1))
    keys = builder.constant(np.arange(total), np.int64, "places")
    biases = [_seen(call, builder, builder.op("Less", [keys, lengths]))]
    if causal:
        queries = builder.constant(np.arange(length)[:, None] - length, np.int64, "queries")
        ahead = builder.op("Add", [lengths, queries])
        biases.append(_seen(call, builder, builder.op("LessOrEqual", [keys, ahead])))
    return biases


def _seen(call: Call, builder: NodeBuilder, allowed: str) -> str:
    """0 where a key is allowed, −∞ where it is not."""
    bounds = (builder.constant(number, call.dtype(0), "bound") for number in (0, -np.inf))
    return builder.op("Where", [allowed, *bounds])


def rotary_embedding(call: Call, builder: NodeBuilder) -> bool:
    """Pairs of elements of each head turned by an angle of their position; the rest of a head stays."""
    shape = call.shape(0)
    flat = len(shape) == 3
    if flat:
        heads = int(call.options["num_heads"])
        apart: tuple[int, ...] = (shape[0], shape[1], heads, shape[2] // heads)
        x = reshaped(builder, call.input(0), apart)
    else:
        apart, x = shape, call.input(0)
    width = apart[-1]
    turned = int(call.options.get("rotary_embedding_dim", 0)) or width
    half = turned // 2
    cosine, sine = (_angles(call, builder, place, flat) for place in (1, 2))
    if call.options.get("interleaved"):
        first, second = (sliced(builder, x, -1, start, turned, 2) for start in (0, 1))
    else:
        first, second = sliced(builder, x, -1, 0, half), sliced(builder, x, -1, half, turned)
    real = builder.op("Sub", [builder.op("Mul", [cosine, first]), builder.op("Mul", [sine, second])])
    imaginary = builder.op("Add", [builder.op("Mul", [sine, first]), builder.op("Mul", [cosine, second])])
    if call.options.get("interleaved"):
        pairs = [reshaped(builder, part, (*apart[:-1], half, 1)) for part in (real, imaginary)]
        parts = [reshaped(builder, builder.op("Concat", pairs, axis=-1), (*apart[:-1], turned))]
    else:
        parts = [real, imaginary]
    if turned < width:
        parts.append(sliced(builder, x, -1, turned, width))
    joined = builder.op("Concat", parts, axis=-1)
    reshaped(builder, joined, shape, call.output(0))
    return True


def _angles(call: Call, builder: NodeBuilder, position: int, flat: bool) -> str:
    """Cosines or sines of the positions, with an axis for the heads where they lie."""
    table, shape = call.input(position), call.shape(position)
    if call.input(3):
        table = builder.op("Gather", [table, call.input(3)], axis=0)
        shape = (*call.shape(3), shape[-1])
    batch, length, half = shape
    return reshaped(builder, table, (batch, length, 1, half) if flat else (batch, 1, length, half))


RULES: dict[str, Rule] = {"Attention": attention, "RotaryEmbedding": rotary_embedding}
