"""One tick run twice before it is traced, with an eye on what tracing would make silently constant, or only blame late.

The two runs start from the same state and inputs, so they must give the same bits. A module that answers differently
counts in Python, draws random numbers or keeps state that nobody knows of. Generators of random numbers, and places
where values leave PyTorch, are noted with the module that does it: PyTorch's own errors name no module.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from astroedge.errors import ExportError
from astroedge.exporters.shared.labels import label
from astroedge.exporters.shared.library_code import is_library_file, is_own_file
from astroedge.exporters.shared.randomness import draws_random, refuse_random, shared_generators
from astroedge.exporters.state.snapshot import same_value
from astroedge.exporters.step_call.state_tree import leaves
from astroedge.exporters.wrapping.step_module import StepModule, run_step

DATA: dict[Any, str] = {torch.Tensor.data.__get__: ".data", torch.Tensor.data.__set__: ".data"}  # type: ignore[attr-defined]
NUMPY: dict[Any, str] = {torch.Tensor.numpy: ".numpy()", torch.Tensor.__array__: "NumPy"}
VALUES: dict[Any, str] = {
    torch.Tensor.item: ".item()",
    torch.Tensor.tolist: ".tolist()",
    torch.Tensor.__bool__: "`if`",
    torch.Tensor.__int__: "int()",
    torch.Tensor.__float__: "float()",
    torch.Tensor.__index__: "an index",
}


@dataclass(frozen=True)
class Sighting:
    """A module, in words, what it did, and where in the user's code."""

    who: str
    what: str
    where: str


@dataclass
class DryRun:
    """What was seen in a tick: values read by Python, tensors that left PyTorch; and notes on what it never reads."""

    values: list[Sighting] = field(default_factory=list)
    escapes: list[Sighting] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    @property
    def reason(self) -> str | None:
        """Why a graph that was traced differs from the model, if something was seen that may explain it."""
        for item in (*self.escapes, *self.values):
            place = f" at {item.where}" if item.where else ""
            return (
                f"{item.who} uses {item.what}{place}, whose result tracing makes a constant of the step: compute it "
                "with torch functions on tensors."
            )
        return None


@dataclass(frozen=True)
class _Visit:
    """One call of a module: what it was given and what it returned, as copies."""

    who: str
    given: list[Tensor]
    returned: list[Tensor]


def dry_run(module: StepModule, inputs: Sequence[Tensor], states: Sequence[Tensor]) -> DryRun:
    """Run one tick twice and return what was seen.

    Raises UnsupportedOpError for a module that draws random numbers, ExportError for one that answers the same inputs
    and state in two ways.
    """
    first, results = _watched(module, inputs, states)
    second, again = _watched(module, inputs, states)
    torch.compiler.reset()  # torch.cond compiles its branches, and what it compiled while watched fails later
    if not _alike(results, again):
        who = _first_unlike(first.visits, second.visits) or f"The model ({module.call.label})"
        raise ExportError(
            f"{who} answers the same inputs and state differently from one call to the next: it counts or keeps state "
            "where the graph cannot see it (a global, a closure, an iterator, the clock); hold all that carries over "
            "in buffers, or pass it with states=."
        )
    return first.seen


def _watched(module: StepModule, inputs: Sequence[Tensor], states: Sequence[Tensor]) -> tuple[_Watch, list[Tensor]]:
    """Run one tick; what was seen, and copies of the results."""
    watch = _Watch(module)
    with watch.watching():
        results = run_step(module, inputs, states)
    return watch, [tensor.clone() for tensor in results]


class _Watch:
    """Hooks and modes around one run of a step."""

    def __init__(self, step: StepModule) -> None:
        self.seen = DryRun()
        self.visits: list[_Visit] = []
        self._model = step.model
        self._stack: list[tuple[str, list[Tensor]]] = []
        self._outermost = f"The model ({step.call.label})"

    @property
    def who(self) -> str:
        """The innermost module that is running."""
        return self._stack[-1][0] if self._stack else self._outermost

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what runs inside."""
        handles = []
        for path, module in self._model.named_modules():
            handles.append(module.register_forward_pre_hook(self._enter(label(path, module)), with_kwargs=True))
            handles.append(module.register_forward_hook(self._leave))
        self._generators = shared_generators()
        try:
            with _Functions(self), _Operators(self):
                yield
            self._check_generators()
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, who: str) -> Callable[[nn.Module, Any, Any], None]:
        def enter(_: nn.Module, arguments: Any, keywords: Any) -> None:
            self._check_generators()
            self._stack.append((who, _copies((arguments, keywords))))

        return enter

    def _leave(self, _: nn.Module, __: Any, result: Any) -> None:
        self._check_generators()
        who, given = self._stack.pop()
        self.visits.append(_Visit(who, given, _copies(result)))

    def _check_generators(self) -> None:
        """Refuse a module that has drawn random numbers from Python or NumPy since the last look."""
        for name, state in shared_generators().items():
            if state != self._generators[name]:
                refuse_random(self.who, name)


class _Functions(TorchFunctionMode):
    """Notes where Python reads values of tensors, and where tensors leave PyTorch."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self._watch = watch

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in VALUES:
            self._watch.seen.values.append(Sighting(self._watch.who, VALUES[func], _user_line()))
        elif func in DATA or func in NUMPY:
            what = DATA.get(func) or NUMPY[func]
            self._watch.seen.escapes.append(Sighting(self._watch.who, what, _user_line()))
        return func(*args, **(kwargs or {}))


class _Operators(TorchDispatchMode):
    """Refuses operators that draw random numbers."""

    supports_higher_order_operators = True

    def __init__(self, watch: _Watch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._watch = watch

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if draws_random(func, args, kwargs or {}):
            refuse_random(self._watch.who, str(func).removesuffix(".default"))
        return func(*args, **(kwargs or {}))


def _copies(tree: Any) -> list[Tensor]:
    """Copies of the tensors in what a module takes or returns; none of what holds other things."""
    try:
        return [tensor.detach().clone() for _, tensor in leaves(tree)]
    except TypeError:
        return []


def _alike(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    return len(one) == len(other) and all(map(same_value, one, other))


def _first_unlike(first: Sequence[_Visit], second: Sequence[_Visit]) -> str | None:
    """The first module to return that was given the same both times and returned something else."""
    for one, other in zip(first, second, strict=False):
        if one.who == other.who and _alike(one.given, other.given) and not _alike(one.returned, other.returned):
            return one.who
    return None


def _user_line() -> str:
    """`FILE:LINE` of the innermost frame that is the model's own, or nothing: whoever calls export is not to blame."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_own_file(frame.f_code.co_filename):
        frame = frame.f_back
    while frame is not None and is_library_file(frame.f_code.co_filename):
        frame = None if is_own_file(frame.f_code.co_filename) else frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}" if frame is not None else ""
