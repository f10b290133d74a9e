"""The text of the CUDA C library: those of its files that a step's calls need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).resolve().with_name("library")


@dataclass(frozen=True)
class _File:
    """A file of the library: functions that steps call, bytes of shared memory they need, files it builds on."""

    name: str
    functions: tuple[str, ...]
    shared: int = 0
    builds_on: tuple[str, ...] = ()


_FILES = (
    _File("common", ("ae_count",)),
    _File("products", ("ae_rows", "ae_finish"), shared=1568),
    _File("streams", ("ae_streams", "ae_strips"), shared=14336, builds_on=("products",)),
    _File("fixed", ("ae_fixed", "ae_integers", "ae_add_integers"), shared=1040, builds_on=("products",)),
    _File("embedding", ("ae_embedding",)),
    _File("convolutions", ("ae_convolve",), shared=6144),
    _File("norms", ("ae_reduce", "ae_layer_norm", "ae_softmax")),
)


def library_text(names: Iterable[str]) -> str:
    """The CUDA C that defines the functions `names`, as `library_call` names them, with what they build on.

    Raises KeyError for a name that is not of the library.
    """
    called = {name.partition("<")[0] for name in names}
    owners = {function: file for file in _FILES for function in file.functions}
    wanted = {owners[name].name for name in called}
    wanted |= {below for file in _FILES if file.name in wanted for below in file.builds_on} | {"common"}
    files = [file for file in _FILES if file.name in wanted]
    shared = max(16, *(file.shared for file in files))
    return f"#define AE_SHARED_BYTES {shared}\n" + "\n".join(_read(file.name) for file in files)


@cache
def _read(name: str) -> str:
    return (_FOLDER / f"{name}.cuh").read_text(encoding="utf-8")
