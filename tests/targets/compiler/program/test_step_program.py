"""The operators in the names that TVM gives fused functions."""

from __future__ import annotations

import pytest

from astroedge.targets.compiler.program.step_program import operators_of


@pytest.mark.parametrize(
    ("name", "operators"),
    [
        ("matmul", ("matmul",)),
        ("fused_multiply1_add12_greater_equal_cast2", ("multiply", "add", "greater_equal", "cast")),
        ("fused_strided_slice3_tir_sigmoid", ("strided_slice", "sigmoid")),
        ("max_pool2d1", ("max_pool2d",)),
        ("product_0", ("product",)),
    ],
)
def test_numbers_go_and_words_of_one_operator_stay_together(name: str, operators: tuple[str, ...]) -> None:
    """Numbers that only tell functions apart are not shown, those of an operator's own name are."""
    assert operators_of(name) == operators
