"""Models that make their states themselves when they are called without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from astroedge.errors import ExportError
from astroedge.exporters.step_call.signature import make_call
from astroedge.exporters.wrapping.default_states import with_own_states

X = torch.ones(1, 4) / 2


def found(model: Any, inputs: Tensor = X) -> list[tuple[str, list[int], float]]:
    """Name, shape and largest initial value of the states found."""
    call = with_own_states(make_call(model, inputs, None))
    return [
        (name, list(tensor.shape), float(tensor.abs().max()))
        for name, tensor in zip(call.state_paths(), call.state_leaves, strict=True)
    ]


@pytest.mark.parametrize(
    ("model", "inputs", "states"),
    [
        (lambda: nn.GRUCell(4, 3), X, [("hx", [1, 3], 0.0)]),
        (lambda: nn.RNNCell(4, 3), X, [("hx", [1, 3], 0.0)]),
        (lambda: nn.LSTMCell(4, 3), X, [("hx.0", [1, 3], 0.0), ("hx.1", [1, 3], 0.0)]),
        (lambda: nn.GRU(4, 3, 2), X[None], [("hx", [2, 1, 3], 0.0)]),
        (lambda: nn.RNN(4, 3), X[None], [("hx", [1, 1, 3], 0.0)]),
        (lambda: nn.LSTM(4, 3), X[None], [("hx.0", [1, 1, 3], 0.0), ("hx.1", [1, 1, 3], 0.0)]),
    ],
    ids=["GRUCell", "RNNCell", "LSTMCell", "GRU", "RNN", "LSTM"],
)
def test_recurrent_modules_start_at_zero(model: Callable[[], nn.Module], inputs: Tensor, states: list[Any]) -> None:
    """PyTorch's recurrent modules need no states from the user."""
    assert found(model().eval(), inputs) == states


def nested(x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
    """A function with a nested state of its own."""
    v, (delay,) = (torch.zeros_like(x), [torch.zeros_like(x)]) if state is None else (state["v"], state["delay"])
    return v + delay, {"v": 0.5 * v + x, "delay": [v]}


def test_function_with_nested_state() -> None:
    """A function counts as much as a module, and its state may be nested."""
    assert found(nested) == [("delay.0", [1, 4], 0.0), ("v", [1, 4], 0.0)]


def from_ones(x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """A state that starts at 1."""
    state = torch.ones_like(x) if state is None else state
    return x + state, 0.5 * state


def test_unknown_start_is_refused() -> None:
    """A state that starts from what cannot be found out is not guessed: the user passes it."""
    with pytest.raises(ExportError, match=r"from_ones returns its state .* pass the initial states .* states="):
        found(from_ones)


class Hidden(nn.Module):
    """Keeps its state, takes one too, and returns what it keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.v = torch.zeros(1, 4)

    def forward(self, x: Tensor, v: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.v = 0.5 * (self.v if v is None else v) + x
        return self.v * 2.0, self.v


def test_state_that_is_kept_is_not_passed_too() -> None:
    """A returned tensor that the model also keeps is carried by its memory; the model has not stepped."""
    model = Hidden()
    assert found(model) == []
    assert not model.v.any()


class Masked(nn.Module):
    """An optional argument that is no state."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return (x if mask is None else x[:, mask.long()[0]]), torch.softmax(x, 1)[:, :2]


def test_optional_argument_that_is_no_state() -> None:
    """What is returned last and gives other shapes when it is passed is an output."""
    assert found(Masked()) == []
