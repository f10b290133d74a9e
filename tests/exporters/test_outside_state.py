"""State outside the modules is refused by name, even where the ticks that export compares don't show it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
import torch
from torch import Tensor, nn

from astroedge.errors import ExportError, NoStateError
from astroedge.exporters import export

X = torch.linspace(-1.0, 2.0, 4)[None]
WORLD: dict[str, float] = {"ticks": 0}
SEEN: list[Tensor] = []


class Leaky(nn.Module):
    """Leaky neurons behind a drive that the refused ones get wrong."""

    def __init__(self, drive: nn.Module) -> None:
        super().__init__()
        self.fc, self.drive = nn.Linear(4, 4), drive
        self.register_buffer("v", torch.zeros(1, 4))

    def forward(self, x: Tensor) -> Tensor:
        self.v = 0.5 * self.v + self.fc(self.drive(x))
        return self.v + 0.0


class LateGlobal(nn.Module):
    """Counts in a global and acts on it after three hundred ticks."""

    def forward(self, x: Tensor) -> Tensor:
        WORLD["ticks"] += 1
        return x * (2.0 if WORLD["ticks"] > 300 else 1.0)


def remembered(x: Tensor) -> Tensor:
    """A helper that the module calls, and that keeps what it is given."""
    SEEN.append(x)
    return x


class GrowingGlobal(nn.Module):
    """Keeps every input in a global list, by way of a function."""

    def forward(self, x: Tensor) -> Tensor:
        return remembered(x)


class OnTheClass(nn.Module):
    """Keeps a tensor as an attribute of its class."""

    trace = torch.zeros(1, 4)

    def forward(self, x: Tensor) -> Tensor:
        type(self).trace = 0.5 * type(self).trace + x
        return x + 0.0


class EverySeventh(nn.Module):
    """Counts up in every seventh tick only, and acts on it after three hundred."""

    def __init__(self) -> None:
        super().__init__()
        self.ticks, self.level = torch.zeros((), dtype=torch.int64), [0]

    def forward(self, x: Tensor) -> Tensor:
        self.ticks = self.ticks + 1
        if type(x) is Tensor and int(self.ticks) % 7 == 0:
            self.level[0] += 1
        return x * (2.0 if self.level[0] > 50 else 1.0)


@pytest.mark.parametrize(
    ("drive", "message"),
    [
        (LateGlobal, r"'ticks' of the global 'WORLD', which Module 'drive' \(LateGlobal\) uses, changes every tick"),
        (GrowingGlobal, r"of the global 'SEEN', which Module 'drive' \(GrowingGlobal\) uses, changes every tick"),
        (OnTheClass, r"attribute 'trace' of the class of Module 'drive' \(OnTheClass\) changes every tick"),
        (EverySeventh, r"^Module 'drive' \(EverySeventh\) changes 'drive\.level\.0' now and then \(0 → 28 within 200"),
    ],
)
def test_memory_outside_is_named(drive: Callable[[], nn.Module], message: str) -> None:
    """Where it is, the module whose code uses it, and that a buffer is the cure."""
    with pytest.raises(ExportError, match=message) as caught:
        export(Leaky(drive()).eval(), X)
    assert "\n" not in str(caught.value)
    assert "buffer" in str(caught.value) or "tensor that every tick writes" in str(caught.value)


def test_closure_with_all_the_state_is_no_state() -> None:
    """A function whose state is in its closure has none that a graph can carry; its variable is named."""
    memory = {"v": torch.zeros(1, 4)}

    def step(x: Tensor) -> Tensor:
        memory["v"] = 0.5 * memory["v"] + x
        return memory["v"] + 0.0

    with pytest.raises(NoStateError, match=r"'v' of 'memory' in the closure of .*step changes .*register_buffer"):
        export(step, X)


def test_function_around_a_stateful_module_is_refused() -> None:
    """The module that a function reaches by its closure changes in every tick; it must be exported itself."""
    model = Leaky(nn.Identity()).eval()

    def step(x: Tensor) -> Tensor:
        return model(x)  # type: ignore[no-any-return]

    with pytest.raises(NoStateError, match=r"'v' of the module in 'model' in the closure of .*the module itself"):
        export(step, X)


def test_function_that_passes_the_state_of_a_module_on_is_refused() -> None:
    """A state that is passed is refused if a module in a closure keeps it too; a method of a module is the cure."""
    model = Leaky(nn.Identity()).eval()

    def step(x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        model.v = v
        return model(x), model.v

    with pytest.raises(ExportError, match=r"'v' of the module in 'model' .* or a method of a module that holds it"):
        export(step, X, torch.zeros(1, 4))


def test_constants_outside_are_no_state() -> None:
    """Weights and tables that a function reaches by its closure stay constants of the step."""
    weight, used = torch.eye(4) / 2, count()

    def step(x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        v = 0.5 * v + x @ weight
        return v, v

    assert next(used) == 0
    assert [state.name for state in export(step, X, torch.zeros(1, 4)).spec.states] == ["v"]
