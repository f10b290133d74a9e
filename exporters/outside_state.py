"""What a model's own code remembers outside its modules: in globals, closures and attributes of classes.

A graph cannot carry it, and often it has no effect on the ticks that export compares. So the functions that a model is
made of are read for the names they use, one function calling the next, and what those names hold is watched too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType
from typing import Any

from torch import nn

from astroedge.exporters.call import Call
from astroedge.exporters.frameworks.labels import label
from astroedge.exporters.slots import Place, memory, walk

LIBRARIES = sys.stdlib_module_names | {"astroedge", "norse", "numpy", "onnx", "snntorch", "spikingjelly", "torch"}

OF_A_MODULE = " of the module in "  # in the words for what a module keeps that is reached by name


def outside_memory(call: Call) -> Iterator[tuple[str, Any]]:
    """Every tensor, number and the like that the model's own functions reach by name, with words for where it is."""
    own = {id(module) for module in call.model.modules()}
    seen: set[int] = set()
    for reader, function in _functions(call):
        for where, value in _names(function, seen):
            user = "" if reader in where else f", which {reader} uses,"
            yield from _held(f"{where}{user}", value, own, seen)
    for path, module in call.model.named_modules():
        for kind in _own_classes(module):
            for key, value in vars(kind).items():
                if not key.startswith("__"):
                    yield from _held(f"the attribute {key!r} of the class of {label(path, module)}", value, own, seen)


def _functions(call: Call) -> Iterator[tuple[str, FunctionType]]:
    """The functions that a tick may run, with who they belong to: what is called, and the methods of all modules."""
    called = call.function.__func__ if isinstance(call.function, MethodType) else call.function
    if isinstance(called, FunctionType):
        yield call.label, called
    for path, module in call.model.named_modules():
        for kind in _own_classes(module):
            for value in vars(kind).values():
                if isinstance(value, FunctionType):
                    yield label(path, module), value


def _own_classes(module: nn.Module) -> list[type]:
    """A module's class and those it derives from, without those of libraries."""
    return [kind for kind in type(module).__mro__ if not _is_library(kind)]


def _names(function: FunctionType, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """What a function, and those that it calls by name, reads from its closure and from the globals of its file."""
    if id(function) in seen or _is_library(function):
        return
    seen.add(id(function))
    reached = [
        (f"{name!r} in the closure of {function.__qualname__}", cell.cell_contents)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        if _is_filled(cell)
    ]
    used = _global_names(function.__code__)
    reached += [(f"the global {name!r}", function.__globals__[name]) for name in used if name in function.__globals__]
    for where, value in reached:
        if isinstance(value, FunctionType):
            yield from _names(value, seen)
        else:
            yield where, value


def _is_filled(cell: Any) -> bool:
    """Whether a variable of a closure has a value yet."""
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _global_names(code: CodeType) -> set[str]:
    """Every name that code, and the functions written inside it, may look up in its file."""
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*map(_global_names, inner))


def _held(where: str, value: Any, own: set[int], seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Everything in `value` that can be remembered, with words for where it is; modules of the model are no outside."""
    if isinstance(value, nn.Module):
        if id(value) not in own:
            found = memory(value)
            yield from ((f"{place.name!r}{OF_A_MODULE}{where}", part) for place, part in found)
        return
    for place, part in walk(Place("", ""), value, seen):
        yield f"{place.name!r} of {where}" if place.name else where, part


def _is_library(item: Any) -> bool:
    """Whether a class or function comes from Python or a package whose inside is not the user's."""
    return str(item.__module__).partition(".")[0] in LIBRARIES
