"""What a tick does beside PyTorch is seen before tracing, and laid at the door of the module that does it."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from astroedge.errors import ExportError, ParityError, UnsupportedOpError
from astroedge.exporters import export
from tests.support.hidden_state_models import Leaky, X


class Does(nn.Module):
    """Passes on what a function makes of its input; the function gets the module too, to keep things in."""

    def __init__(self, function: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.numbers = torch.Generator()
        self.more_numbers = np.random.default_rng(0)
        self.steps = count()

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def rarely(module: nn.Module, x: Tensor) -> Tensor:
    """Draws every tick and acts once in a thousand: no comparison over 200 ticks is sure to see it."""
    return x + (1.0 if random.random() < 0.001 else 0.0)


def by_numpy(module: nn.Module, x: Tensor) -> Tensor:
    """NumPy's global generator."""
    return x + float(np.random.random())


def by_own_numpy(module: Any, x: Tensor) -> Tensor:
    """A generator of NumPy's that the module keeps."""
    return x + module.more_numbers.random()  # type: ignore[no-any-return]


def by_own_torch(module: Any, x: Tensor) -> Tensor:
    """A generator of PyTorch's that the module keeps."""
    return x + torch.randn(x.shape, generator=module.numbers)


def by_distribution(module: nn.Module, x: Tensor) -> Tensor:
    """PyTorch's distributions, which check values in Python before they draw."""
    return torch.distributions.Bernoulli(x.sigmoid()).sample()  # type: ignore[no-untyped-call,no-any-return]


@pytest.mark.parametrize(
    ("function", "source"),
    [
        (rarely, "Python's random"),
        (by_numpy, r"numpy\.random"),
        (by_own_numpy, r"the generator 'drive\.more_numbers'"),
        (by_own_torch, r"the generator 'drive\.numbers'"),
        (by_distribution, r"aten\.bernoulli"),
    ],
)
def test_random_numbers_are_refused_whoever_draws_them(
    function: Callable[[nn.Module, Tensor], Tensor], source: str
) -> None:
    """PyTorch, NumPy and Python, with shared generators and own ones, even where it hardly ever matters."""
    message = rf"^Module 'drive' \(Does\) draws random numbers \({source}\).*pass the noise in as an input"
    with pytest.raises(UnsupportedOpError, match=message):
        export(Leaky(Does(function)).eval(), X)


class Attends(nn.Module):
    """Attention of the present over the last four ticks, with `dropout`."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.register_buffer("keys", torch.zeros(1, 4, 8))

    def forward(self, x: Tensor) -> Tensor:
        self.keys = torch.cat([self.keys[:, 1:], x[:, None]], 1)
        found = nn.functional.scaled_dot_product_attention(x[:, None], self.keys, self.keys, dropout_p=self.dropout)
        return found[:, 0]


def test_attention_is_random_by_its_dropout_only() -> None:
    """PyTorch marks the operator as random whatever its dropout is."""
    graph = export(Attends(0.0).eval(), torch.rand(1, 8))
    assert [state.name for state in graph.spec.states] == ["keys"]
    with pytest.raises(UnsupportedOpError, match=r"^Attends draws random numbers"):
        export(Attends(0.5).eval(), torch.rand(1, 8))


def test_iterator_that_moves_on_is_refused() -> None:
    """A counter of itertools changes nothing for three hundred ticks, and is refused by name all the same."""

    def late(module: Any, x: Tensor) -> Tensor:
        return x * (2.0 if next(module.steps) > 300 else 1.0)

    message = r"^Module 'drive' \(Does\) keeps a Python count that changes every tick, 'drive\.steps' \(count\(2\)"
    with pytest.raises(ExportError, match=message):
        export(Leaky(Does(late)).eval(), X)


def test_module_with_two_answers_is_named() -> None:
    """State where export looks for none, in an array of Python's, makes a module answer one input in two ways."""
    model = Leaky(nn.Identity())
    kept = array("d", [0.0])

    def smooth(module: nn.Module, arguments: Any, result: Tensor) -> Tensor:
        kept[0] = 0.5 * kept[0] + 1.0
        return result * kept[0]

    model.fc.register_forward_hook(smooth)
    with pytest.raises(ExportError, match=r"^Module 'fc' \(Linear\) answers the same inputs and state differently"):
        export(model.eval(), X)


def decides(module: nn.Module, x: Tensor) -> Tensor:
    """`while` on a value."""
    while x.abs().max() > 1:
        x = x / 2
    return x


def writes_data(module: nn.Module, x: Tensor) -> Tensor:
    """Writes through `.data`."""
    y = x.clone()
    y.data.clamp_(0, 1)
    return y


def by_numpy_function(module: nn.Module, x: Tensor) -> Tensor:
    """A function of NumPy's on a tensor."""
    return torch.as_tensor(np.clip(x, 0, 1))  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (decides, r"decides in Python on the value of a tensor with `if` at test_dry_run\.py:\d+.*torch\.where"),
        (writes_data, r"leaves what PyTorch can trace with \.data at test_dry_run\.py:\d+.*detach\(\)"),
        (by_numpy_function, r"leaves what PyTorch can trace with NumPy at test_dry_run\.py:\d+.*torch functions"),
    ],
)
def test_what_cannot_be_traced_is_named(function: Callable[[nn.Module, Tensor], Tensor], message: str) -> None:
    """The module, what it does, the line and the cure."""
    with pytest.raises(ExportError, match=rf"^Module 'drive' \(Does\) {message}"):
        export(Leaky(Does(function)).eval(), X)


def test_value_that_tracing_made_constant_is_named() -> None:
    """Code that hides the tracer's refusal gives another step; the comparison says where and why."""

    def hides(module: nn.Module, x: Tensor) -> Tensor:
        try:
            return x * 2 if x.sum() > 0 else x
        except Exception:
            return x

    message = r"differs from PyTorch's.*Module 'drive' \(Does\) uses `if` at test_dry_run\.py:\d+, whose result"
    with pytest.raises(ParityError, match=message):
        export(Leaky(Does(hides)).eval(), X)
