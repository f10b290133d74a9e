"""Discovery of hidden state: what changes is state, wherever it hides; nothing else is."""

from __future__ import annotations

from collections import deque
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from astroedge.errors import ExportError
from astroedge.exporters.state.find_state import FoundState, find_hidden_state
from astroedge.exporters.step_call.signature import make_call
from tests.support import hidden_state_models

X = torch.ones(1, 3)


def found(model: nn.Module, inputs: Tensor = X, states: Any = None) -> dict[str, FoundState]:
    """The hidden states of a model by name."""
    call = make_call(model.eval(), inputs, states)
    return {state.hidden.name: state for state in find_hidden_state(call, [call.inputs]).states}


class Keeps(nn.Module):
    """Keeps a running sum at a place that a function reads and writes."""

    def __init__(self, start: Any) -> None:
        super().__init__()
        self.box = start

    def forward(self, x: Tensor) -> Tensor:
        self.update(x)
        return x + 0.0

    def update(self, x: Tensor) -> None:
        self.box = self.box + x


def test_buffer_written_in_place_is_state() -> None:
    """A buffer whose version counter moves is state, with its value from before the first tick."""
    model = hidden_state_models.BufferLIF(3, 2)
    model.v.fill_(0.25)
    state = found(model)["v"]
    assert state.initial.tolist() == [[0.25, 0.25]]


def test_attribute_made_in_the_first_tick_starts_at_zero() -> None:
    """Memory that is None when cold is zeros of the shape it has later."""
    state = found(hidden_state_models.AttributeLIF(3, 2))["v"]
    assert state.initial.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("start", [-65.0, torch.tensor(-65.0), torch.full((3,), -65.0)])
def test_cold_value_spreads_to_the_steady_shape(start: Any) -> None:
    """A number or a smaller tensor that broadcasts is the initial value of every element."""
    state = found(Keeps(start))["box"]
    assert state.initial.tolist() == [[-65.0] * 3]


@pytest.mark.parametrize(
    ("start", "name"),
    [
        ([X * 0], "box.0"),
        ((X * 0, "label"), "box.0"),
        ({"deep": {"v": X * 0}}, "box.deep.v"),
        (deque([X * 0]), "box.0"),
        (SimpleNamespace(v=X * 0), "box.v"),
        (hidden_state_models.Pair(X * 0, X), "box.0"),
        (hidden_state_models.Refractory(X * 0), "box.left"),
    ],
)
def test_state_is_found_inside_containers(start: Any, name: str) -> None:
    """A tensor in any container or plain object is found, and its location reads and writes it."""

    class Inside(Keeps):
        def update(self, x: Tensor) -> None:
            if isinstance(self.box, (SimpleNamespace, hidden_state_models.Refractory)):
                key = "v" if isinstance(self.box, SimpleNamespace) else "left"
                setattr(self.box, key, getattr(self.box, key) + x)
            elif isinstance(self.box, hidden_state_models.Pair):
                self.box = hidden_state_models.Pair(self.box.v + x, self.box.i)
            elif isinstance(self.box, tuple):
                self.box = (self.box[0] + x, *self.box[1:])
            elif isinstance(self.box, dict):
                self.box["deep"]["v"] = self.box["deep"]["v"] + x
            else:
                self.box[0] = self.box[0] + x

    model = Inside(start)
    states = found(model)
    assert list(states) == [name]
    hidden = states[name].hidden
    assert hidden.read(model).tolist() == [[3.0] * 3]
    hidden.write(model, X * 7)
    assert hidden.read(model).tolist() == [[7.0] * 3]
    model(X)
    assert hidden.read(model).tolist() == [[8.0] * 3]


def test_state_in_a_partial_is_read_and_written() -> None:
    """A function that holds a tensor is made anew with the tensor that is written."""

    class Bound(Keeps):
        def update(self, x: Tensor) -> None:
            self.box = partial(torch.add, self.box(x), alpha=1)

    model = Bound(partial(torch.add, X * 0, alpha=1))
    states = found(model)
    assert list(states) == ["box.args.0"]
    hidden = states["box.args.0"].hidden
    hidden.write(model, X * 7)
    assert hidden.read(model).tolist() == [[7.0] * 3]
    model(X)
    assert hidden.read(model).tolist() == [[8.0] * 3]


def test_object_of_a_module_whose_method_is_a_hook_is_inside() -> None:
    """What it keeps is the module's state, though a hook reaches it too."""

    class Trace:
        def __init__(self) -> None:
            self.v = X * 0

        def hook(self, module: nn.Module, given: Any, out: Tensor) -> Tensor:
            self.v = self.v * 0.5 + out
            return self.v

    class Hooked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unit, self.trace = nn.Identity(), Trace()
            self.unit.register_forward_hook(self.trace.hook)

        def forward(self, x: Tensor) -> Tensor:
            return self.unit(x) + 0.0  # type: ignore[no-any-return]

    assert list(found(Hooked())) == ["trace.v"]


def test_change_behind_data_is_found_by_value() -> None:
    """Writing through `.data` moves no version counter; the value gives it away."""

    class Sneaky(Keeps):
        def update(self, x: Tensor) -> None:
            self.box.data.add_(x)

    assert list(found(Sneaky(X * 0))) == ["box"]


def test_tensor_written_with_the_same_value_is_state() -> None:
    """A membrane at rest that is written every tick is state although its value does not change on the example."""

    class WrittenInPlace(Keeps):
        def update(self, x: Tensor) -> None:
            self.box.mul_(0.5).add_(x * 0)

    class Replaced(Keeps):
        def update(self, x: Tensor) -> None:
            self.box = 0.5 * self.box + x * 0

    assert list(found(WrittenInPlace(X * 0))) == ["box"]
    assert list(found(Replaced(X * 0))) == ["box"]


def test_constants_and_parameters_are_no_state() -> None:
    """Buffers, attributes and parameters that nothing writes are not state."""

    class Constant(hidden_state_models.BufferLIF):
        def __init__(self) -> None:
            super().__init__(3, 2)
            self.register_buffer("scale", torch.ones(3))
            self.offset = torch.zeros(3)
            self.norm = nn.BatchNorm1d(3)

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(self.norm(x * self.scale + self.offset))

    assert list(found(Constant())) == ["v"]


def test_one_tensor_in_two_places_is_one_state() -> None:
    """Two attributes that always hold the same tensor are one state, written at both places."""

    class Aliased(Keeps):
        def update(self, x: Tensor) -> None:
            self.box = self.alias = self.box + x

    model = Aliased(X * 0)
    model.alias = model.box
    states = found(model)
    assert list(states) == ["box"]
    states["box"].hidden.write(model, X)
    assert model.alias is model.box


def test_alias_that_starts_differently_stays_two_states() -> None:
    """Two places that hold one tensor later but different ones at the start are two states."""

    class Aliased(Keeps):
        def update(self, x: Tensor) -> None:
            self.box = self.alias = self.box + x

    model = Aliased(X * 0)
    model.alias = X * 5
    assert {name: state.initial[0, 0].item() for name, state in found(model).items()} == {"box": 0.0, "alias": 5.0}


def test_shared_module_is_visited_once() -> None:
    """A module that is registered twice has its state once."""

    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = hidden_state_models.BufferLIF(3, 3)
            self.b = self.a

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(x))

    assert list(found(Shared())) == ["a.v"]


def test_changing_numpy_array_is_refused() -> None:
    """A NumPy array that changes is refused like a number, by name."""

    class Counts(Keeps):
        def update(self, x: Tensor) -> None:
            self.box += 1

    import numpy as np

    with pytest.raises(ExportError, match=r"Python ndarray that changes every tick, 'box'"):
        found(Counts(np.zeros(2)))


def test_memory_that_comes_and_goes_is_refused() -> None:
    """A dict that gains a tensor every tick is named with the new entry."""

    class Hoards(Keeps):
        def update(self, x: Tensor) -> None:
            self.box[f"tick{len(self.box)}"] = x

    with pytest.raises(ExportError, match=r"'box\.tick1' comes or goes"):
        found(Hoards({}))


def test_dtype_that_changes_is_refused() -> None:
    """A state that is promoted every tick is refused with both dtypes."""

    class Promotes(Keeps):
        def update(self, x: Tensor) -> None:
            self.box = self.box.half() if self.box.dtype == torch.float32 else self.box.float()

    with pytest.raises(ExportError, match=r"from float32 \[1, 3\] to float16 \[1, 3\]"):
        found(Promotes(X * 0))


class FillsUp(nn.Module):
    """A queue of two that starts empty."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.queue = [*self.queue, x][-2:]
        return self.queue[0] + 0.0


def test_memory_that_fills_up_is_refused() -> None:
    """A list that is still to grow when the first tick is over has no value before it."""
    with pytest.raises(ExportError, match=r"'queue\.1' comes or goes"):
        found(FillsUp())


def test_delay_line_of_one_object_has_a_state_for_each_place() -> None:
    """`[zeros] * 3` holds one tensor three times; they are three states, whose values go from one to the next."""

    class Delay(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.line = deque([torch.zeros(1, 3)] * 5, maxlen=5)

        def forward(self, x: Tensor) -> Tensor:
            late = self.line[0]
            self.line.append(x)
            return late + 0.0

    assert list(found(Delay())) == [f"line.{place}" for place in range(5)]


def test_states_that_are_views_of_one_memory_are_refused() -> None:
    """Writing to one writes to the other, which a step's separate states would not."""

    class Views(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            whole = torch.zeros(1, 6)
            self.low, self.high = whole[:, :4], whole[:, 2:]

        def forward(self, x: Tensor) -> Tensor:
            self.low.add_(1.0)
            self.high.mul_(0.5)
            return x + 0.0

    with pytest.raises(ExportError, match=r"'low' and 'high' are views of one memory.*clone\(\)"):
        found(Views())


def test_halves_of_one_memory_are_two_states() -> None:
    """Views that share no element are apart."""

    class Halves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            whole = torch.zeros(2, 6)
            self.left, self.right = whole[:, :3], whole[:, 3:]

        def forward(self, x: Tensor) -> Tensor:
            self.left.add_(x)
            self.right.sub_(x)
            return x + 0.0

    assert list(found(Halves())) == ["left", "right"]


@pytest.mark.parametrize("slotted", [False, True])
def test_state_in_objects_that_can_be_called_or_have_slots(slotted: bool) -> None:
    """Cells that are no modules keep their state in attributes or slots."""

    class Cell:
        def __init__(self) -> None:
            self.h = torch.zeros(1, 3)

        def __call__(self, x: Tensor) -> Tensor:
            self.h = 0.5 * self.h + x
            return self.h + 0.0

    class Slotted(Cell):
        __slots__ = ("h",)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = Slotted() if slotted else Cell()

        def forward(self, x: Tensor) -> Tensor:
            return self.cell(x)

    assert list(found(Net())) == ["cell.h"]


@pytest.mark.parametrize("flag", ["text", True, None])
def test_changing_flag_is_refused(flag: Any) -> None:
    """Texts, truth values and None decide in Python, which a graph would freeze."""

    class Toggles(Keeps):
        def update(self, x: Tensor) -> None:
            self.box = "other" if self.box == flag else flag

    with pytest.raises(
        ExportError, match=r"^Toggles keeps a Python (str|bool|NoneType) that changes every tick, 'box'"
    ):
        found(Toggles(flag))


def test_shared_items_written_in_place_are_refused() -> None:
    """Of `[zeros] * 3` a write to one item changes all in the model, which three states would not do."""

    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.membranes = [torch.zeros(1, 3)] * 3

        def forward(self, x: Tensor) -> Tensor:
            for membrane in self.membranes:
                x = membrane.mul_(0.5).add_(x) * 1.0
            return x

    with pytest.raises(
        ExportError, match=r"^Shared holds one tensor at several places of 'membranes'.* in place.*for _ in"
    ):
        found(Shared())
