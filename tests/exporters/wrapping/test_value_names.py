"""Names of outputs by the keys under which a model returns them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from astroedge.exporters.step_call.signature import make_call
from astroedge.exporters.step_call.state_tree import Leaf, leaves
from astroedge.exporters.wrapping.value_names import Names, choose_names

ZERO = torch.zeros(1)


def named(result: object) -> list[str]:
    """The names of what a module with the inputs `x` and `y1` returns."""

    class Step(nn.Module):
        def forward(self, x: Tensor, y1: Tensor) -> object:
            return result

    call = make_call(Step().eval(), (ZERO, ZERO), None)
    outputs: list[Leaf] = leaves(result)
    return choose_names(Names(), call, outputs, [])[1]


def test_keys_are_names_beside_outputs_that_have_none() -> None:
    """In a tuple, what is in a dict has its keys as names, and the rest is y and so on."""
    assert named(({"z": ZERO, "v": ZERO}, ZERO, ZERO)) == ["v", "z", "y", "y1_1"]


def test_keys_that_are_taken_give_way() -> None:
    """A key that is the name of an input is not used, and one that comes twice gets a number."""
    assert named([{"x": ZERO, "v": ZERO}, {"v": ZERO}]) == ["v", "y", "v_1"]


def test_outputs_without_keys_are_counted() -> None:
    """One output is y, several are y, y1, y2."""
    assert named(ZERO) == ["y"]
    assert named((ZERO, ZERO, ZERO)) == ["y", "y1_1", "y2"]
