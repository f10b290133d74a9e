"""What a manifest tells of a product's weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import astroedge


@pytest.mark.compiles
def test_a_stack_of_matrices_is_counted_once_a_call() -> None:
    """Four heads with a matrix each are calls of which each meets the weights of one that are not zero."""
    heads = torch.randn(4, 6, 5)
    heads[:, 0] = 0
    single = torch.randn(6, 7)

    def step(x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, 0] @ single, h / 2 + torch.matmul(x[:, :, None], heads.expand(2, 4, 6, 5))[:, :, 0]

    graph = astroedge.export(step, (torch.randn(2, 4, 6),), (torch.zeros(2, 4, 5),))
    reports = {item.columns: item for item in astroedge.compile(graph).manifest.matrices}
    assert (reports[5].calls, reports[5].nonzero) == (8, 25)
    assert (reports[7].calls, reports[7].nonzero) == (2, 42)
