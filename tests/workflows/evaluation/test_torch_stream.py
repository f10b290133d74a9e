"""A PyTorch model steps as its user would step it, and starts every sequence afresh."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from astroedge.errors import ExportError
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from astroedge.workflows.evaluation.torch_stream import TorchStream
from astroedge.workflows.inputs.model_source import ModelSource

SPEC = StepSpec(
    (TensorSpec("x", (1, 3), "float32"),), (TensorSpec("y", (1, 3), "float32"),), (StateSpec("v", (1, 3), "float32"),)
)
X = np.arange(12, dtype=np.float32).reshape(4, 1, 3)


class Explicit(nn.Module):
    """A running sum whose state goes in and out, and a second output."""

    def forward(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The sum, twice the sum, the next state."""
        return v + x, 2 * (v + x), v + x


class Hidden(nn.Module):
    """A running sum that keeps its state to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.v = torch.zeros(1, 3)

    def forward(self, x: Tensor) -> Tensor:
        """The sum."""
        self.v = self.v + x
        return self.v


@pytest.mark.parametrize(
    "source",
    [ModelSource(Explicit().eval(), None, (torch.zeros(1, 3),)), ModelSource(Hidden().eval())],
    ids=["explicit", "hidden"],
)
def test_state_goes_on_between_runs_and_not_over_a_reset(source: ModelSource) -> None:
    """Two runs are one; after a reset the model is as it was given; the first output is what counts."""
    stream = TorchStream(source, SPEC)
    expected = np.cumsum(X, axis=0)
    for _ in range(2):
        found = [stream.run(x=X[:1])["y"], stream.run(x=X[1:])["y"]]
        np.testing.assert_array_equal(np.concatenate(found), expected)
        stream.reset()


def test_threads_are_given_back() -> None:
    """Ticks run on one thread; what the caller had set is there again afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        TorchStream(ModelSource(Hidden().eval()), SPEC).run(x=X)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_model_that_fails_is_named() -> None:
    """What the model raises is one line with its name."""
    stream = TorchStream(ModelSource(nn.Linear(5, 2).eval()), SPEC)
    with pytest.raises(ExportError, match=r"Linear\.forward fails"):
        stream.run(x=X)
