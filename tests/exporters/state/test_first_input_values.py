"""What a model sets in its first tick and keeps: a constant if it is the same for every input, else refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from astroedge.errors import ExportError
from astroedge.exporters import export
from astroedge.exporters.state.first_input_values import _other
from tests.support.hidden_state_models import Leaky, X


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


class FirstPartial(nn.Module):
    """Subtracts the largest number of its first input, by a function that holds it."""

    shifted: Callable[[Tensor], Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.shifted is None:
            self.shifted = partial(torch.sub, other=x.max())
        return self.shifted(x)


class FirstDistribution(nn.Module):
    """Normalises to a distribution that it fits to its first input."""

    fitted: torch.distributions.Normal | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.fitted is None:
            self.fitted = torch.distributions.Normal(x.mean(), x.std(), validate_args=False)
        return (x - self.fitted.loc) / self.fitted.scale


class Table(nn.Module):
    """Makes a table when it first sees a shape."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[int, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        if len(x) not in self.tables:
            self.tables[len(x)] = torch.arange(4.0)
        return x * self.tables[len(x)]


FIRST: dict[str, Tensor] = {}


class FirstAnywhere(nn.Module):
    """Keeps its first input in a global."""

    def forward(self, x: Tensor) -> Tensor:
        return x - FIRST.setdefault("first", x.clone())


class Drawn(nn.Module):
    """Draws a table in its first tick."""

    table: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.table is None:
            self.table = torch.randn(4)
        return x * self.table


class FirstOffset(nn.Module):
    """Sets a parameter in its first tick."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(4))
        self.ready = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.ready:
            self.offset.copy_(x.mean(0))
            self.ready = True
        return x - self.offset


class NotANumber(nn.Module):
    """Keeps a NaN, which never changes."""

    def __init__(self) -> None:
        super().__init__()
        self.best = float("nan")

    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.parametrize(
    ("drive", "name"),
    [
        (FirstFrame, "first"),
        (FirstSize, "size"),
        (Drawn, "table"),
        (FirstPartial, r"shifted\.keywords\.other"),
        (FirstDistribution, r"fitted\.scale"),
    ],
)
def test_value_of_the_first_input_is_refused(drive: type[nn.Module], name: str) -> None:
    """A graph would hold the example's for ever, and agree with the model on every run that starts with it."""
    message = rf"^Module 'drive' \({drive.__name__}\) sets 'drive\.{name}' from its first inputs .*set it before export"
    with pytest.raises(ExportError, match=message):
        export(Leaky(drive()).eval(), X)


def test_table_made_on_demand_is_a_constant() -> None:
    """It does not depend on the input's values."""
    assert [state.name for state in export(Leaky(Table()).eval(), X).spec.states] == ["v"]


def test_first_input_in_a_global_is_refused() -> None:
    """No graph shows it, and every run that starts with the example agrees."""
    with pytest.raises(
        ExportError, match=r"^Leaky\.forward sets 'first' of the global 'FIRST'.* from its first inputs"
    ):
        export(Leaky(FirstAnywhere()).eval(), X)


def test_first_input_in_a_hook_is_refused() -> None:
    """A hook's closure keeps it as well as a module does."""
    model, first = Leaky(nn.Identity()).eval(), dict[str, Tensor]()
    model.fc.register_forward_hook(lambda module, given, out: out - first.setdefault("mean", out.mean()))
    with pytest.raises(ExportError, match=r"sets 'mean' of 'first' in the closure of .*Module 'fc'.* first inputs"):
        export(model, X)


@pytest.mark.parametrize(("drive", "name"), [(FirstOffset, "offset"), (nn.LazyLinear(4), "weight")])
def test_parameter_set_in_the_first_tick_is_refused(drive: type[nn.Module] | nn.Module, name: str) -> None:
    """The example or chance would make it, and the model itself would have another."""
    module = drive if isinstance(drive, nn.Module) else drive()
    with pytest.raises(
        ExportError, match=rf"^Module 'drive' \(\w+\) sets its parameter 'drive\.{name}'.*call the model once"
    ):
        export(Leaky(module).eval(), X)


def test_constant_nan_is_no_change() -> None:
    """It equals nothing, itself included, and stays what it is."""
    assert [state.name for state in export(Leaky(NotANumber()).eval(), X).spec.states] == ["v"]


@pytest.mark.parametrize("first", [torch.full((1, 4), 0.5), torch.zeros(1, 4, dtype=torch.int64), torch.eye(2) > 0])
def test_other_input_is_another(first: Tensor) -> None:
    """An example that is what a smaller one in reverse order would be is replaced by another number."""
    other = _other(first)
    assert (other.shape, other.dtype) == (first.shape, first.dtype)
    assert not torch.equal(other, first)
