"""What a model sets in its first tick and keeps: a constant if it is the same for every input, else refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from astroedge.errors import ExportError
from astroedge.exporters import export
from tests.exporters.test_outside_state import Leaky, X


class FirstFrame(nn.Module):
    """Subtracts its first input from all that follow."""

    first: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.first is None:
            self.first = x.clone()
        return x - self.first


class FirstSize(nn.Module):
    """Divides by the largest number of its first input, which it keeps as a Python number."""

    size: float | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.size is None:
            self.size = x.abs().max().item()
        return x / self.size


class Table(nn.Module):
    """Makes a table when it first sees a shape."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[int, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        if len(x) not in self.tables:
            self.tables[len(x)] = torch.arange(4.0)
        return x * self.tables[len(x)]


@pytest.mark.parametrize(("drive", "name"), [(FirstFrame, "first"), (FirstSize, "size")])
def test_value_of_the_first_input_is_refused(drive: type[nn.Module], name: str) -> None:
    """A graph would hold the example's for ever, and agree with the model on every run that starts with it."""
    message = rf"^Module 'drive' \({drive.__name__}\) sets 'drive\.{name}' from its first inputs .*set it before export"
    with pytest.raises(ExportError, match=message):
        export(Leaky(drive()).eval(), X)


def test_table_made_on_demand_is_a_constant() -> None:
    """It does not depend on the input's values."""
    assert [state.name for state in export(Leaky(Table()).eval(), X).spec.states] == ["v"]
