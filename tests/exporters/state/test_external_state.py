"""State outside the modules is refused by name, even where the ticks that export compares don't show it."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from astroedge.errors import ExportError, NoStateError
from astroedge.exporters import export
from tests.support import late_settings
from tests.support.hidden_state_models import Leaky, X

WORLD: dict[str, float] = {"ticks": 0}
SEEN: list[Tensor] = []


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


class ElsewhereCounted(nn.Module):
    """Counts by calling what it is given, and acts on the count after three hundred ticks."""

    def __init__(self, counted: Callable[[], float]) -> None:
        super().__init__()
        self.counted = counted

    def forward(self, x: Tensor) -> Tensor:
        return x * (2.0 if self.counted() > 300 else 1.0)


class Tally:
    """Counts on the class, or on an object."""

    ticks = 0

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, *given: Any) -> None:
        self.seen += 1


def count_in_a_file() -> float:
    """Counts on a module of Python's that this file imports."""
    late_settings.ticks += 1
    return late_settings.ticks


def count_on_a_class() -> float:
    """Counts on a class that is no module's."""
    Tally.ticks += 1
    return Tally.ticks


def count_on_a_function() -> float:
    """Counts in an attribute of a function."""
    count_on_a_function.ticks = getattr(count_on_a_function, "ticks", 0) + 1  # type: ignore[attr-defined]
    return count_on_a_function.ticks  # type: ignore[attr-defined, no-any-return]


def count_in_a_default(counts: list[int] = [0]) -> float:  # noqa: B006 - this is what people write by mistake
    """Counts in its default argument."""
    counts[0] += 1
    return counts[0]


def count_in(memory: Any, key: Any) -> float:
    """Counts in a container that a partial holds."""
    memory[key] = min(memory[key] + 1, 255)
    return memory[key]  # type: ignore[no-any-return]


def hook_of(tally: Tally) -> Callable[..., None]:
    """A hook that calls `tally`, which it has in its closure."""

    def hook(*given: Any) -> None:
        tally(*given)

    return hook


@pytest.mark.parametrize(
    ("counted", "message"),
    [
        (count_in_a_file, r"the global 'ticks' of tests\.support\.late_settings, which Module 'drive'"),
        (count_on_a_class, r"the attribute 'ticks' of the class Tally, which Module 'drive'"),
        (count_on_a_function, r"the attribute 'ticks' of the function count_on_a_function, which Module 'drive'"),
        (count_in_a_default, r"'0' of default argument 0 of count_in_a_default, which Module 'drive'"),
        (partial(count_in, UserDict(n=0), "n"), r"a Python int that changes .*'drive\.counted\.args\.0\.data\.n'"),
        (
            partial(count_in, memory=bytearray(1), key=0),
            r"a Python bytearray that .*'drive\.counted\.keywords\.memory'",
        ),
    ],
)
def test_counts_in_other_places_are_named(counted: Callable[[], float], message: str) -> None:
    """Imported files, classes, functions, partials and what Python's own containers wrap are all watched."""
    with pytest.raises(ExportError, match=message):
        export(Leaky(ElsewhereCounted(counted)).eval(), X)


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        (hook_of(Tally()), r"'seen' of 'tally' in the closure of hook_of\.<locals>\.hook, which Module 'fc'"),
        (Tally(), r"'seen' of a hook of Module 'fc' \(Linear\) changes every tick"),
        (Tally().__call__, r"'seen' of a hook of Module 'fc' \(Linear\) changes every tick"),
        (partial(Tally().__call__, None), r"'seen' of a hook of Module 'fc' \(Linear\) changes every tick"),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_memory_of_hooks_is_named(hook: Callable[..., None], message: str, before: bool) -> None:
    """Functions, objects, their methods and partials, called before a module or after it."""
    model = Leaky(nn.Identity()).eval()
    model.fc.register_forward_pre_hook(hook) if before else model.fc.register_forward_hook(hook)
    with pytest.raises(ExportError, match=message):
        export(model, X)


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
