"""How a model takes its inputs: one by one, in dicts, by keyword, sparse; and what is none of that."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from astroedge.errors import ExportError
from astroedge.exporters import export
from astroedge.exporters.step_call.examples import example_ticks
from astroedge.exporters.step_call.signature import make_call

X, Y = torch.ones(1, 4) / 2, torch.ones(1, 4) / 4


def takes_dict(batch: dict[str, Tensor], v: Tensor) -> tuple[Tensor, Tensor]:
    """One argument that holds two tensors."""
    v = 0.5 * v + batch["events"] - batch["gain"]
    return v, v


def takes_keyword(x: Tensor, v: Tensor, *, gain: Tensor) -> tuple[Tensor, Tensor]:
    """An argument that has to be named."""
    v = 0.5 * v + x * gain
    return v, v


@pytest.mark.parametrize(
    ("function", "inputs", "names"),
    [
        (takes_dict, ({"gain": Y, "events": X},), ["events", "gain"]),
        (takes_dict, {"gain": Y, "events": X}, ["events", "gain"]),
        (takes_dict, ({"b": {"x": X}, "a": {"x": Y}},), ["batch.a.x", "batch.b.x"]),
        (takes_dict, ([X, Y],), ["batch.0", "batch.1"]),
        (takes_keyword, {"gain": Y, "x": X}, ["x", "gain"]),
    ],
    ids=["dict", "dict alone", "keys that repeat", "list", "keywords"],
)
def test_inputs_are_named_after_keys_and_arguments(function: Any, inputs: Any, names: list[str]) -> None:
    """A key names its tensor where it says enough, else its whole path does; keywords are arguments."""
    call = make_call(function, inputs, None)
    assert call.input_names() == names
    assert all(torch.equal(*pair) for pair in zip(call.inputs, example_ticks(call, [inputs])[0], strict=True))


def test_dicts_and_keywords_reach_the_model() -> None:
    """The step is the function's, whichever way it takes its inputs."""
    graph = export(takes_dict, ({"gain": Y, "events": X},), torch.zeros(1, 4), examples=[({"gain": X, "events": Y},)])
    assert [item.name for item in graph.spec.inputs] == ["events", "gain"]
    named = export(takes_keyword, {"gain": Y, "x": X}, torch.zeros(1, 4))
    assert [item.name for item in named.spec.inputs] == ["x", "gain"]
    assert [state.name for state in named.spec.states] == ["v"]


def test_sparse_inputs_are_made_dense() -> None:
    """A sparse example stands for a dense one, and a note says so."""
    call = make_call(takes_keyword, {"gain": Y, "x": X.to_sparse()}, X.to_sparse())
    assert all(tensor.layout == torch.strided for tensor in (*call.inputs, *call.state_leaves))
    assert torch.equal(call.inputs[0], X)
    assert [note.split(" was")[0] for note in call.notes] == ["Input 0", "State 0"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((X, 2.0), r"Input 1 is a float; .*torch\.tensor\(2\.0\)"),
        (({"events": X, "gain": 2.0},), r"Input 0 holds what is no tensor: gain is a float"),
        (X * 1j, r"complex64.*torch\.view_as_real"),
    ],
)
def test_what_no_step_takes_is_refused_with_a_cure(inputs: Any, message: str) -> None:
    """Numbers and complex tensors are named, and what to give instead."""
    with pytest.raises(ExportError, match=message):
        export(takes_dict if isinstance(inputs, tuple) else (lambda x, v: (x, 0.5 * v)), inputs, torch.zeros(1, 4))
