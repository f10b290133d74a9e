"""What a model's own code remembers outside its modules: in globals, closures, hooks, classes and files.

A graph cannot carry it, and often it has no effect on the ticks that export compares. So the functions that a model is
made of are read for the names they use, one function calling the next, and what those names hold is watched too. What
libraries hold is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from torch import nn

from astroedge.exporters.shared.labels import label
from astroedge.exporters.shared.library_code import is_installed, is_library
from astroedge.exporters.state.locations import Location, memory, stray, walk
from astroedge.exporters.step_call.signature import StepCall

OF_A_MODULE = " of the module in "  # in the words for what a module keeps that is reached by name

# What a module has in its attributes is its own and no outside, but for code, and for what is replaced when a state is
# written.
_NOT_INSIDE = (FunctionType, MethodType, ModuleType, type, partial, tuple)


def external_memory(call: StepCall) -> Iterator[tuple[str, Any]]:
    """Every tensor, number and the like that the model's own functions reach by name, with words for where it is."""
    modules = list(call.model.named_modules())
    own = {id(module) for _, module in modules}
    seen: set[Any] = {id(kind) for _, module in modules for kind in _own_classes(type(module))}
    named = [(label(path, module), module) for path, module in modules]
    kept = [(who, location, item) for who, module in named for location, item in stray(module, object)]
    seen |= {id(item) for _, _, item in kept if not isinstance(item, _NOT_INSIDE)}
    for reader, start, value in (*_starts(call), *_kept_functions(kept)):
        for where, part in _reached(start, value, frozenset(), seen):
            user = "" if reader in where else f", which {reader} uses,"
            yield from _held(f"{where}{user}", part, own, seen)
    for path, module in modules:
        for kind in _own_classes(type(module)):
            for key, value in vars(kind).items():
                if not key.startswith("__"):
                    yield from _held(f"the attribute {key!r} of the class of {label(path, module)}", value, own, seen)


def _starts(call: StepCall) -> Iterator[tuple[str, str, Any]]:
    """The functions that a tick may run, each after who it belongs to and words for where it is.

    That is what is called, the methods of all modules, and their hooks.
    """
    yield call.label, "what is exported", call.function
    for path, module in call.model.named_modules():
        who = label(path, module)
        for kind in _own_classes(type(module)):
            for value in vars(kind).values():
                if (function := _function(value)) is not None:
                    yield who, "", function
        for hook in (*module._forward_pre_hooks.values(), *module._forward_hooks.values()):
            yield who, f"a hook of {who}", hook


def _kept_functions(kept: Sequence[tuple[str, Location, Any]]) -> Iterator[tuple[str, str, Any]]:
    """The functions among what modules keep in their attributes, in the same form."""
    for who, location, value in kept:
        if isinstance(value, (FunctionType, MethodType, partial)):
            yield who, f"{location.name!r} of {who}", value.func if isinstance(value, partial) else value


def _own_classes(kind: type) -> list[type]:
    """A class and those it derives from, without those of libraries."""
    return [each for each in kind.__mro__ if not is_library(each.__module__)]


def _function(value: Any) -> FunctionType | None:
    """The function that an item of a class is made of, if it is: a method, static or of the class, or a property."""
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    inner = value.fget if isinstance(value, property) else value
    return inner if isinstance(inner, FunctionType) else None


def _reached(where: str, value: Any, names: frozenset[str], seen: set[Any]) -> Iterator[tuple[str, Any]]:
    """What lies behind something that code uses: what functions read, what classes and files of the user's hold.

    Anything else is given as it is. Of a file, only `names` are looked up, which are those in the code that uses it.
    """
    if isinstance(value, FunctionType):
        yield from _read(value, seen)
    elif isinstance(value, MethodType):
        yield from _reached(where, value.__func__, names, seen)
        yield from _reached(where, value.__self__, names, seen)
    elif isinstance(value, ModuleType):
        if not is_installed(value.__name__) and (id(value), names) not in seen:
            seen.add((id(value), names))
            yield from _looked_up(value.__name__, vars(value), names, seen)
    elif isinstance(value, type):
        yield from _of_class(value, names, seen)
    else:
        if isinstance(value, partial):
            yield from _reached(where, value.func, names, seen)
        yield where, value
        yield from _of_class(type(value), names, seen)


def _read(function: FunctionType, seen: set[Any]) -> Iterator[tuple[str, Any]]:
    """What a function, and those that it calls by name, reads from its closure and from the globals of its file.

    Its default arguments and its attributes are read as well.
    """
    if id(function) in seen or is_library(function.__module__):
        return
    seen.add(id(function))
    name = function.__qualname__
    used = _used_names(function.__code__)
    closure = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    reached = [(f"{key!r} in the closure of {name}", cell.cell_contents) for key, cell in closure if _is_filled(cell)]
    reached += [(f"the attribute {key!r} of the function {name}", value) for key, value in vars(function).items()]
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    reached += [(f"default argument {number} of {name}", value) for number, value in enumerate(defaults)]
    for where, value in reached:
        yield from _reached(where, value, used, seen)
    yield from _looked_up("", function.__globals__, used, seen)


def _looked_up(file: str, space: Mapping[str, Any], names: frozenset[str], seen: set[Any]) -> Iterator[tuple[str, Any]]:
    """What `names` mean in a file: the one of the code, or another that it imports; each value once."""
    for name in sorted(names & space.keys()):
        value = space[name]
        if isinstance(value, ModuleType) or (id(space), name) not in seen:
            seen.add((id(space), name))
            yield from _reached(f"the global {name!r}{f' of {file}' if file else ''}", value, names, seen)


def _of_class(kind: type, names: frozenset[str], seen: set[Any]) -> Iterator[tuple[str, Any]]:
    """What a class of the user's and those it derives from hold, and what their methods read."""
    for each in _own_classes(kind):
        if id(each) not in seen and not is_installed(each.__module__):
            seen.add(id(each))
            for key, value in list(vars(each).items()):
                if (function := _function(value)) is not None:
                    yield from _read(function, seen)
                elif not key.startswith("__"):
                    where = f"the attribute {key!r} of the class {each.__qualname__}"
                    yield from _reached(where, value, names, seen)


def _is_filled(cell: Any) -> bool:
    """Whether a variable of a closure has a value yet."""
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _used_names(code: CodeType) -> frozenset[str]:
    """Every name that code, and the functions written inside it, may look up in its file or in another."""
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return frozenset(code.co_names).union(*map(_used_names, inner))


def _held(where: str, value: Any, own: set[int], seen: set[Any]) -> Iterator[tuple[str, Any]]:
    """Everything in `value` that can be remembered, with words for where it is; modules of the model are no outside."""
    if isinstance(value, nn.Module):
        if id(value) not in own:
            found = memory(value)
            yield from ((f"{location.name!r}{OF_A_MODULE}{where}", part) for location, part in found)
        return
    for location, part in walk(Location("", ""), value, seen):
        yield f"{location.name!r} of {where}" if location.name else where, part
