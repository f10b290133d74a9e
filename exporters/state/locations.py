"""Where a module hides what it remembers: tensors in buffers and plain attributes, alone or inside containers.

A place is a path from the root module, never a reference to a dict: PyTorch rebuilds attribute dicts while it traces,
and a reference taken before would silently show the old value.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from types import FunctionType, MethodType
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn

from astroedge.exporters.shared.randomness import GENERATORS

Step = tuple[Literal["item", "attribute"], Any]
_MODULE_INTERNALS = frozenset(vars(nn.Module()))
_NUMBERS = (int, float, complex, np.ndarray, np.generic)
_LEAVES = (Tensor, *_NUMBERS, str, bytes, bytearray, type(None), set, frozenset, *GENERATORS)
# SimpleNamespace, Namespace, UserDict and UserList: what users put things into.
_PLAIN_OBJECTS = {"types", "argparse", "collections"}
_FOREIGN = {"builtins", "torch", "numpy", *sys.stdlib_module_names} - _PLAIN_OBJECTS - {"__main__"}


@dataclass(frozen=True)
class Location:
    """A buffer or attribute of the module at `module`, and the way from there to something inside its value."""

    module: str
    key: str
    inside: tuple[Step, ...] = ()

    @property
    def name(self) -> str:
        """Everything on the way, joined by dots."""
        return ".".join(part for part in (self.module, self.key, *(str(key) for _, key in self.inside)) if part)

    def get(self, model: nn.Module) -> Any:
        """What lies there; raises LookupError or AttributeError if the way is gone."""
        value = self._store(model)[self.key]
        for step in self.inside:
            value = _get(value, step)
        return value

    def set(self, model: nn.Module, value: Any) -> None:
        """Put `value` there; tuples and partials on the way are replaced, other containers changed in place."""
        store = self._store(model)
        store[self.key] = _with(store[self.key], self.inside, value) if self.inside else value

    def _store(self, model: nn.Module) -> dict[str, Any]:
        owner = model.get_submodule(self.module)
        return owner._buffers if self.key in owner._buffers else vars(owner)


@dataclass(frozen=True)
class HiddenState:
    """A state at one place, or at several that always hold one and the same tensor."""

    locations: tuple[Location, ...]

    @property
    def name(self) -> str:
        """Name of the first place."""
        return self.locations[0].name

    def read(self, model: nn.Module) -> Tensor:
        """The value now."""
        value: Tensor = self.locations[0].get(model)
        return value

    def write(self, model: nn.Module, value: Tensor) -> None:
        """Put `value` into every place."""
        for location in self.locations:
            location.set(model, value)


def memory(model: nn.Module) -> Iterator[tuple[Location, Any]]:
    """Everything in `model` that may change from tick to tick, but for parameters, with its place.

    That is tensors, numbers, arrays, texts, bytes, None, sets, iterators and generators of random numbers, in buffers
    and attributes of all modules, and inside tuples, lists, deques, dicts, partials, distributions and plain objects.
    """
    seen: set[int] = set()
    for path, module in model.named_modules():
        own = {key: value for key, value in vars(module).items() if key not in _MODULE_INTERNALS}
        for key, value in {**module._buffers, **own}.items():
            yield from walk(Location(path, key), value, seen)


def stray_modules(model: nn.Module) -> Iterator[tuple[Location, nn.Module]]:
    """Modules in lists, dicts and the like of `model`, which PyTorch does not know to be parts of it."""
    known = {id(module) for module in model.modules()}
    for path, module in model.named_modules():
        for location, found in stray(module, nn.Module):
            if id(found) not in known:
                yield Location(path, location.key, location.inside), found


def stray(module: nn.Module, wanted: type) -> Iterator[tuple[Location, Any]]:
    """The instances of `wanted` in a module's own attributes, alone or inside containers."""
    seen: set[Any] = set()
    for key, value in vars(module).items():
        if key not in _MODULE_INTERNALS:
            yield from walk(Location("", key), value, seen, wanted)


def walk(location: Location, value: Any, seen: set[Any], wanted: type | None = None) -> Iterator[tuple[Location, Any]]:
    """`value` if it can be remembered, else what it contains; with `wanted`, instances of that instead."""
    if wanted is not None and isinstance(value, wanted):
        yield location, value
    if isinstance(value, (nn.Parameter, nn.Module, type)):
        return
    if isinstance(value, _LEAVES) or (isinstance(value, Iterator) and _is_foreign(value)):
        if wanted is None:
            yield location, value
        return
    if id(value) in seen:
        return
    parts = _parts(value)
    if parts:
        seen.add(id(value))
        for step, part in parts:
            yield from walk(Location(location.module, location.key, (*location.inside, step)), part, seen, wanted)


def _parts(value: Any) -> list[tuple[Step, Any]]:
    """What a container or a plain object of the user's own classes holds."""
    if isinstance(value, (tuple, list, deque)):
        return [(("item", index), part) for index, part in enumerate(value)]
    if isinstance(value, dict):
        return [(("item", key), part) for key, part in value.items()]
    if isinstance(value, partial):
        return [(("attribute", key), getattr(value, key)) for key in ("args", "keywords")]
    if _is_foreign(value) or isinstance(value, (FunctionType, MethodType)):
        return []
    slots = [key for kind in type(value).__mro__ for key in _slot_names(kind) if hasattr(value, key)]
    keys = dict.fromkeys((*slots, *getattr(value, "__dict__", ())))
    return [(("attribute", key), getattr(value, key)) for key in keys]


def _is_foreign(value: Any) -> bool:
    """Whether an object's class comes from Python or PyTorch, so that its inside is its own business.

    Distributions are what they are given.
    """
    file = type(value).__module__
    return file.partition(".")[0] in _FOREIGN and not file.startswith("torch.distributions.")


def _slot_names(kind: type) -> tuple[str, ...]:
    """The names in a class's `__slots__`, as its objects know them."""
    names = vars(kind).get("__slots__", ())
    plain = [name for name in ((names,) if isinstance(names, str) else names) if not name.endswith("__")]
    own = kind.__name__.lstrip("_")
    return tuple(f"_{own}{name}" if name.startswith("__") else name for name in plain)


def _get(container: Any, step: Step) -> Any:
    kind, key = step
    return getattr(container, key) if kind == "attribute" else container[key]


def _with(container: Any, inside: tuple[Step, ...], value: Any) -> Any:
    """`container` with `value` at `inside`: itself, changed, or a new tuple or partial."""
    step, rest = inside[0], inside[1:]
    kind, key = step
    part = _with(_get(container, step), rest, value) if rest else value
    if isinstance(container, partial):
        held = {"args": container.args, "keywords": container.keywords, key: part}
        return partial(container.func, *held["args"], **held["keywords"])
    if kind == "attribute":
        object.__setattr__(container, key, part)
    elif isinstance(container, tuple):
        parts = [part if index == key else old for index, old in enumerate(container)]
        return type(container)(*parts) if hasattr(container, "_fields") else tuple(parts)
    else:
        container[key] = part
    return container
