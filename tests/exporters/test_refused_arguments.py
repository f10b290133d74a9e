"""What export is given is checked before anything runs: mode, dtype, device, inputs, states and names."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from astroedge.errors import ExportError
from astroedge.exporters import export
from tests.support.hidden_state_models import AttributeLIF

X = torch.ones(1, 4) / 2


def test_training_mode_is_refused_by_name() -> None:
    """Whatever it computes there: nothing but the model knows whether its forward asks for the mode."""
    with pytest.raises(ExportError, match=r"^AttributeLIF is in training mode; call model\.eval\(\)"):
        export(AttributeLIF(4, 4), X)
    model = AttributeLIF(4, 4).eval()
    model.fc.train()
    with pytest.raises(ExportError, match=r"^Module 'fc' \(Linear\) is in training mode; call model\.eval\(\)"):
        export(model, X)


@pytest.mark.parametrize("layer", [nn.Dropout(0.2), nn.BatchNorm1d(4), nn.AlphaDropout()])
def test_layer_that_trains_otherwise_is_named(layer: nn.Module) -> None:
    """Of all modules in training mode the one that behaves otherwise there is named."""
    model = AttributeLIF(4, 4)
    model.between = nn.Sequential(layer)
    with pytest.raises(ExportError, match=r"'between\.0' .*training mode; call model\.eval\(\)"):
        export(model, X)


def test_double_precision_is_refused_by_name() -> None:
    """A parameter of a dtype that no step carries is named before anything runs."""
    with pytest.raises(
        ExportError, match=r"^Module 'fc' \(Linear\) keeps 'fc\.weight', which has dtype float64.*\.float\(\)"
    ):
        export(AttributeLIF(4, 4).double().eval(), X.double())


def test_model_off_the_cpu_is_refused() -> None:
    """A model whose tensors lie on another device is told to move."""
    with pytest.raises(
        ExportError, match=r"^Module 'fc' \(Linear\) keeps 'fc\.weight', which lies on meta.*model\.cpu\(\)"
    ):
        export(AttributeLIF(4, 4).to("meta").eval(), X)


def test_state_off_the_cpu_is_refused() -> None:
    """A state that was left on another device, in a plain attribute, is named."""
    model = AttributeLIF(4, 4).eval()
    model.v = torch.zeros(1, 4, device="meta")
    with pytest.raises(
        ExportError, match=r"^AttributeLIF keeps 'v', which lies on meta.*\.cpu\(\) on tensors in plain attributes"
    ):
        export(model, X)


def test_input_off_the_cpu_is_refused() -> None:
    """So are inputs and states on another device."""
    with pytest.raises(ExportError, match=r"Input 0 lies on meta"):
        export(AttributeLIF(4, 4).eval(), X.to("meta"))
    with pytest.raises(ExportError, match=r"State 0 lies on meta"):
        export(nn.GRUCell(4, 4).eval(), X, X.to("meta"))


def step(x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """A good step with explicit state."""
    return x + v, 0.5 * v + x


def forgets(x: Tensor, v: Tensor) -> Tensor:
    """Returns an output and no state; the output has another shape."""
    return (x + v).sum().reshape(1, 1)


def returns_nothing(x: Tensor, v: Tensor) -> None:
    """Returns nothing at all."""


def widens(x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Its next state is longer than its state."""
    return x, torch.cat([v, x])


def starts_empty(x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Its state may be empty at the start, as that of snnTorch's `init_leaky`."""
    v = 0.5 * (v if v.numel() else torch.zeros_like(x)) + x
    return v + 0.0, v


def promotes(x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Its next state has another dtype."""
    return x, v.double()


@pytest.mark.parametrize(
    ("model", "inputs", "states", "options", "message"),
    [
        (
            forgets,
            X,
            X,
            {},
            r"forgets changes its state 'v' from float32 \[1, 4\] to float32 \[1, 1\].*return explicit states last",
        ),
        (returns_nothing, X, X, {}, r"returns 0 tensors but was given 1 states"),
        (widens, X, X, {}, r"its state 'v' from float32 \[1, 4\] to float32 \[2, 4\].*torch.roll"),
        (starts_empty, X, torch.zeros(0), {}, r"'v' empty, .*of the shape it has after a tick, torch.zeros\(1, 4\)\.$"),
        (starts_empty, X.half(), torch.zeros(0).half(), {}, r"torch.zeros\(1, 4, dtype=torch.float16\)\.$"),
        (promotes, X, X, {}, r"its state 'v' from float32 .* to float64"),
        (step, X, 1.5, {}, r"the states hold something that is no tensor"),
        (step, 3.0, X, {}, r"tuple of tensors"),
        (step, [3.0], X, {}, r"Input 0 is a float"),
        (7, X, X, {}, r"Cannot export a int"),
        (step, X, X, {"output_names": ["a", "b"]}, r"output_names has 2 names for 1 outputs"),
        (step, X, X, {"state_names": "v"}, r"list of names, not the string"),
        (step, X, X, {"input_names": ["y"], "output_names": ["y"]}, r"'y' is the name of an input and of an output"),
        (step, X, X, {"input_names": ["state.x"]}, r"looks like the name of a state"),
        (step, X, X, {"examples": []}, r"examples is empty"),
        (step, X / 0, X, {}, r"Tick 0 of the examples holds NaN or infinity"),
        (step, X, X, {"examples": [X, X * torch.nan]}, r"Tick 1 of the examples holds NaN or infinity"),
        (step, X, X, {"examples": [X, torch.ones(2, 4)]}, r"Tick 1 of the examples differs"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(
    model: Any, inputs: Any, states: Any, options: dict[str, Any], message: str
) -> None:
    """What export is given is checked, and the message says what would be right."""
    with pytest.raises(ExportError, match=f"(?i){message}") as caught:
        export(model, inputs, states, **options)
    assert str(caught.value).isprintable()
