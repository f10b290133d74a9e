"""The marks of a test, found from what it uses, so that nobody has to remember them.

A test uses its fixtures, its parameters and the functions it names, and what those name in turn, in the tests and in
astroedge. What it hands to the command line or to another process as text is not seen: such a test is marked by hand,
and `watch_compilers` finds one that is not.
"""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache, partial
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

# What a function that compiles names: the linker's way to a C compiler, or TVM's way to LLVM.
LLVM = "target.build.llvm"
COMPILERS = {"run_compiler", LLVM}
FRAMEWORKS = {"nir", "nirtorch", "norse", "silero_vad", "sinabs", "snntorch", "spikingjelly"}
OURS = ("astroedge", "tests")


def marks_of(item: pytest.Function) -> set[str]:
    """`compiles`, `emulated` and `frameworks`, where they apply."""
    fixtures = [definitions[-1].func for definitions in item._fixtureinfo.name2fixturedefs.values()]
    found = {mark for thing in (item.function, *fixtures, *_parameters(item)) for mark in _marks(_Same(thing))}
    return found | ({"emulated"} if {"root", "root32"} & set(item.fixturenames) else set())


def _parameters(item: pytest.Function) -> Iterator[Any]:
    for value in item.callspec.params.values() if hasattr(item, "callspec") else ():
        yield value
        if is_dataclass(value):
            yield from (getattr(value, field.name) for field in fields(value))


class _Same:
    """A key for what may not be hashable: a thing is itself and no other."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __hash__(self) -> int:
        return id(self.thing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.thing is other.thing


@cache
def _marks(begin: _Same) -> frozenset[str]:
    """The marks that one function, class or value brings."""
    seen, waiting, marks = set[_Same](), [begin], set[str]()
    while waiting:
        key = waiting.pop()
        if key not in seen:
            seen.add(key)
            own, used = _looked_at(key)
            marks |= own
            waiting += used
    return frozenset(marks)


@cache
def _looked_at(key: _Same) -> tuple[set[str], list[_Same]]:
    """The marks that a thing itself brings, and what it names."""
    thing = _plain(key.thing)
    package = _package(thing)
    marks, used = ({"frameworks"} if package in FRAMEWORKS else set[str]()), list[Any]()
    if package in OURS and isinstance(thing, FunctionType):
        names = _names(thing.__code__)
        marks |= {"compiles"} if names & COMPILERS else set()
        if package == "tests" and {name.partition(".")[0] for name in names} & FRAMEWORKS:
            marks.add("frameworks")
        used = list(_resolved(thing, names))
    elif package in OURS and isinstance(thing, type):
        used = [value for value in vars(thing).values() if isinstance(value, FunctionType)]
    return marks, [_Same(item) for item in used]


def _package(thing: Any) -> str:
    """The package that a module is in, or that a function or a class was defined in."""
    name = thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", "")
    return str(name).partition(".")[0]


def _plain(thing: Any) -> Any:
    """The function behind a method, and behind decorators: Hypothesis's, a cache's, a fixture's."""
    while isinstance(thing, partial):
        thing = thing.func
    thing = getattr(getattr(thing, "hypothesis", None), "inner_test", thing)
    thing = inspect.unwrap(thing) if callable(thing) else thing
    return getattr(thing, "__func__", thing)


def _resolved(function: FunctionType, names: set[str]) -> Iterator[Any]:
    """The global things that a function names, with what it names of modules of ours, and its closure."""
    things = [function.__globals__[name] for name in names if name in function.__globals__]
    modules = [thing for thing in things if isinstance(thing, ModuleType) and _package(thing) in OURS]
    modules += [module for name in names if name.startswith(OURS) and (module := _module(name))]
    yield from things
    yield from (getattr(module, name) for module in modules for name in names if hasattr(module, name))
    yield from (cell.cell_contents for cell in function.__closure__ or ())


@cache
def _module(name: str) -> ModuleType | None:
    """A module that a function imports when it is called."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _names(code: CodeType) -> set[str]:
    """The names and texts in a function, functions inside it included."""
    found = {*code.co_names}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
        elif isinstance(constant, str):
            found.add(constant)
        elif isinstance(constant, tuple):
            found |= {text for text in constant if isinstance(text, str)}
    return found


def watch_compilers(demand: Callable[[str], None]) -> None:
    """From now on call `demand` with the mark that a test must carry, before a compiler or an emulator is started."""
    start = subprocess.Popen.__init__

    def watched(self: Any, command: Any, *rest: Any, **options: Any) -> None:
        words = [str(word) for word in command] if isinstance(command, list | tuple) else [str(command)]
        program = Path(words[0]).name
        if "--version" not in words and ("cc" in words[1:] or program in ("cc", "gcc")):
            demand("compiles")
        if "--version" not in words and program.startswith("qemu-"):
            demand("emulated")
        start(self, command, *rest, **options)

    subprocess.Popen.__init__ = watched  # type: ignore[method-assign]
    if "tvm" in sys.modules:
        _watch_llvm(sys.modules["tvm"], demand)


def _watch_llvm(tvm: Any, demand: Callable[[str], None]) -> None:
    """The same for LLVM where we ask for it; TVM itself does to fold a constant, in no time."""
    find = tvm.get_global_func

    def found(name: str, *rest: Any, **options: Any) -> Any:
        if name == LLVM and sys._getframe(1).f_globals["__name__"].startswith(OURS):
            demand("compiles")
        return find(name, *rest, **options)

    tvm.get_global_func = found
