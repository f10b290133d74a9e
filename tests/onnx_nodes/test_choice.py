"""A choice of ONNX's own tests of its operators; `make onnx-nodes` runs them all."""

from __future__ import annotations

from functools import cache

import pytest

from tests.onnx_nodes.check_node import Verdict, check_node
from tests.onnx_nodes.node_cases import node_cases
from tests.onnx_nodes.page import page

PASSING = (
    *("argmax_keepdims_random", "attention_4d_causal", "convtranspose_output_shape", "cumsum_2d_axis_0"),
    *("deform_conv_with_mask_bias", "dft_inverse", "hannwindow", "isnan", "loop11", "not_2d", "reduce_max_empty_set"),
    *("matmul_3d", "gru_with_initial_bias", "layer_normalization_2d_axis0"),
    *("qlinearmatmul_2D_uint8_float32", "scatter_elements_with_duplicate_indices", "top_k_smallest"),
)
REFUSED = {"nonzero_example": "NonZero", "triu_zero": "has shape"}


@cache
def _verdict(name: str) -> Verdict:
    """What came of the test of that name."""
    return check_node(next(case for case in node_cases([f"test_{name}"]) if case.name == name))


@pytest.mark.compiles
@pytest.mark.parametrize("name", PASSING)
def test_chosen_node_passes(name: str) -> None:
    """One of each family: what comes out is what ONNX's documents or ONNX Runtime say."""
    assert (_verdict(name).outcome, _verdict(name).text) == ("passed", "")


@pytest.mark.compiles
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_carried_is_refused_by_name(name: str) -> None:
    """The error says which operator, or what about the data, is in the way."""
    verdict = _verdict(name)
    assert verdict.outcome == "refused"
    assert REFUSED[name] in verdict.text


def test_the_page_counts_and_lists() -> None:
    """Totals first, then a line for each test that does not pass, by name, with what is said of it."""
    shown = page([
        Verdict("worse", ("If",), "refused", True, "", 1.0),
        Verdict("good", ("Add",), "passed", False, "", 1.0),
        Verdict("bad", ("If",), "refused", True, "it | pipes", 1.0),
    ])  # fmt: skip
    assert "Of 3 tests 1 pass, 2 are refused by name" in shown
    assert "| `bad` | refused | it \\| pipes |" in shown
    assert shown.index("`bad`") < shown.index("`worse`")
    assert "good" not in shown
