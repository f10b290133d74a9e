"""Attention in its many forms, and rotary embeddings, give what ONNX Runtime gives."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from astroedge.errors import UnsupportedOpError
from tests.support.builds import build
from tests.support.node_lists import compare, step_of_nodes

RNG = np.random.default_rng(7)


def _normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


INPUTS = {
    **{"q": _normal(2, 4, 3, 8), "k": _normal(2, 4, 5, 8), "v": _normal(2, 4, 5, 6)},
    **{"k2": _normal(2, 2, 5, 8), "v2": _normal(2, 2, 5, 6), "pk": _normal(2, 2, 4, 8), "pv": _normal(2, 2, 4, 6)},
    **{"flat": _normal(2, 3, 32), "flat_k": _normal(2, 5, 16), "flat_v": _normal(2, 5, 12)},
}
SEEN = np.array([[True, False, True, True, False], [False] * 5, [True] * 5])
CONSTANTS = {
    "bool": SEEN,
    "heads": _normal(4, 3, 5),
    "long": _normal(2, 1, 3, 9),
    "lengths": np.array([5, 2]),
    "cos": _normal(10, 4),
    "sin": _normal(10, 4),
    "places": np.array([[1, 0, 9], [2, 3, 4]]),
    "cos_of_rows": _normal(2, 3, 2),
    "sin_of_rows": _normal(2, 3, 2),
}


def test_attention_of_separate_heads() -> None:
    """Masks of Booleans, numbers and heads, causal ones, a soft cap, and every stage of the scores as a result."""
    stages = [
        helper.make_node(
            "Attention", ["q", "k", "v", "heads"], [f"y_of{mode}", "", "", f"y_stage{mode}"], softcap=2.0,
            qk_matmul_output_mode=mode,
        )
        for mode in range(4)
    ]  # fmt: skip
    nodes = [
        helper.make_node("Attention", ["q", "k", "v"], ["y_plain"]),
        helper.make_node("Attention", ["q", "k", "v", "bool"], ["y_bool"], scale=0.5),
        helper.make_node("Attention", ["q", "k", "v", "bool"], ["y_both"], is_causal=1),
        helper.make_node("Attention", ["q", "k", "v", "heads"], ["y_heads"], is_causal=1, softmax_precision=1),
        *stages,
    ]
    given = compare(nodes, INPUTS, CONSTANTS, opset=23)
    assert not given["y_bool"][0, :, :, 1].any()


def test_attention_with_a_cache_and_shared_heads() -> None:
    """Keys and values behind those of earlier ticks, fewer heads of them than of queries, flat operands, lengths."""
    nodes = [
        helper.make_node(
            "Attention", ["q", "k2", "v2", "long", "pk", "pv"], ["y", "y_keys", "y_values"], is_causal=1
        ),
        helper.make_node(
            "Attention", ["flat", "flat_k", "flat_v", "", "pk", "pv"], ["y_flat", "y_flat_keys", "y_flat_values"],
            q_num_heads=4, kv_num_heads=2,
        ),
        helper.make_node("Attention", ["q", "k2", "v2", "", "", "", "lengths"], ["y_lengths"], is_causal=1),
        helper.make_node("Attention", ["q", "k2", "v2", "", "", "", "n"], ["y_computed_lengths"], is_causal=1),
    ]  # fmt: skip
    compare(nodes, {**INPUTS, "n": np.array([5, 2])}, CONSTANTS, opset=24)


def test_rotary_embeddings() -> None:
    """Positions by number and in order, whole heads and parts, halves and neighbours, flat and apart."""
    nodes = [
        helper.make_node("RotaryEmbedding", ["q", "cos", "sin", "places"], ["y"]),
        helper.make_node("RotaryEmbedding", ["q", "cos", "sin", "places"], ["y_beside"], interleaved=1),
        helper.make_node("RotaryEmbedding", ["flat", "cos", "sin", "places"], ["y_flat"], num_heads=4),
        helper.make_node(
            "RotaryEmbedding", ["q", "cos_of_rows", "sin_of_rows"], ["y_part"], rotary_embedding_dim=4, interleaved=1
        ),
    ]
    compare(nodes, INPUTS, CONSTANTS, opset=23)


def test_sliding_window_is_refused_by_name() -> None:
    """A window over the keys is an error that says so."""
    node = helper.make_node("Attention", ["q", "k", "v"], ["y"], left_window_size=2, is_causal=1)
    with pytest.raises(UnsupportedOpError, match="Attention with a sliding window"):
        build(step_of_nodes([node], INPUTS, {}, {"y": _normal(2, 4, 3, 6)}, 26))
