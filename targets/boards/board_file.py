"""Target and its board files: one TOML file a processor, whose keys are the fields of `Target`."""

from __future__ import annotations

import re
import sys
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from astroedge.bundle.manifest import TargetIdentity
from astroedge.errors import TargetError
from astroedge.regular_file import open_regular
from astroedge.targets.families import ARCHITECTURES, family_of
from astroedge.targets.families.family import Family

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BOARDS = Path(__file__).resolve().parent

_NAME = re.compile(r"[a-z0-9][a-z0-9._:,-]*")
_GPU = re.compile(r"sm_[1-9][0-9]{1,2}")
LEAST_GPU = 60
"""The first compute capability, times ten, with cooperative launches."""
_GLIBC = re.compile(r"2\.\d{1,2}")
_WIDTHS = (32, 128, 256, 512)


@dataclass(frozen=True)
class Target:
    """A processor to compile for.

    `cpu` and `attributes` are LLVM's names (mcpu, mattr); `features` are the flags of /proc/cpuinfo that compiled code
    may use, so a loader must find every one. `vector_bits` is the width of one vector register, 32 where floats are
    computed one at a time. `l1_bytes` (data), `l2_bytes` and `l3_bytes` are the caches one core can use, 0 where there
    is none or it is not known. `cores` and `memory_bytes` are those of the smallest machine sold; `memory_bytes` is 0
    where the target is no one machine. `glibc` is the oldest C library that the compiled library must load on. A board
    is recognised by `device_tree`: texts, one of which its /proc/device-tree/model contains; without a device tree by
    `model_names`, the same of "model name" in /proc/cpuinfo.

    Where a GPU computes, `gpu` are the chips to build for, such as "sm_87" for compute capability 8.7, and what is said
    above is of the processor beside it; `processor` is the target of that processor alone. `multiprocessors` and
    `bandwidth_bytes` (of the GPU's memory, in a second) are those of the smallest machine sold, 0 where the target is
    no one machine.
    """

    name: str
    description: str
    arch: str
    triple: str
    cpu: str
    features: tuple[str, ...]
    vector_bits: int
    l1_bytes: int
    l2_bytes: int
    l3_bytes: int
    cores: int
    memory_bytes: int
    glibc: str
    attributes: tuple[str, ...] = ()
    device_tree: tuple[str, ...] = ()
    model_names: tuple[str, ...] = ()
    gpu: tuple[str, ...] = ()
    processor: str = ""
    multiprocessors: int = 0
    bandwidth_bytes: int = 0
    notes: str = ""

    def __post_init__(self) -> None:
        """Refuse what no compiler or linker could use.

        Raises TargetError naming the field, its value and what is allowed.
        """
        _check(bool(_NAME.fullmatch(self.name)), "name", self.name, "lower-case letters, digits, '.', '_' and '-'")
        _check(self.arch in ARCHITECTURES, "arch", self.arch, " or ".join(ARCHITECTURES))
        triple = ARCHITECTURES[self.arch].triple
        _check(self.triple == triple, "triple", self.triple, triple)
        _check(bool(self.cpu), "cpu", self.cpu, "LLVM's name of the processor, such as cortex-a72")
        _check(bool(_GLIBC.fullmatch(self.glibc)), "glibc", self.glibc, 'a version such as "2.28"')
        _check(self.vector_bits in _WIDTHS, "vector_bits", self.vector_bits, "32, 128, 256 or 512")
        _check(self.l1_bytes >= 4096, "l1_bytes", self.l1_bytes, "at least 4096 bytes")
        _check(self.cores >= 1, "cores", self.cores, "at least 1")
        for name in ("l2_bytes", "l3_bytes", "memory_bytes", "multiprocessors", "bandwidth_bytes"):
            _check(
                getattr(self, name) >= 0, name, getattr(self, name), "0 where there is none or it is not known, or more"
            )
        for chip in self.gpu:
            right = bool(_GPU.fullmatch(chip)) and int(chip.removeprefix("sm_")) >= LEAST_GPU
            _check(right, "gpu", chip, f"chips from sm_{LEAST_GPU} on, such as sm_87")
        right = not self.gpu or ARCHITECTURES[self.arch].bits == 64
        _check(right, "gpu", list(self.gpu), "left out beside a 32-bit processor, for which there is no driver")
        for text in self.attributes:
            _check(text[:1] in ("+", "-"), "attributes", text, "LLVM attributes, each with + or - before it")

    @property
    def family(self) -> Family:
        """What computes a tick here, with all that kernels ask of it."""
        return family_of(self.arch, bool(self.gpu))

    @property
    def identity(self) -> TargetIdentity:
        """What a bundle's manifest keeps of its target."""
        return TargetIdentity(self.name, self.triple, self.arch, self.cpu, self.features)


def read_board(path: Path) -> Target:
    """Read a board file.

    Raises TargetError when the file is missing, not TOML, has an unknown key, lacks one, or holds a value of a wrong
    type or range; the message names the file and the key.
    """
    try:
        with open_regular(path) as file:
            record = tomllib.loads(file.read().decode("utf-8"))
    except OSError as error:
        raise TargetError(f"Board file {path} cannot be read ({error.strerror}); check the path.") from error
    except (ValueError, RecursionError) as error:  # of TOML and UTF-8, or of numbers and depths that no board has
        raise TargetError(f"Board file {path} is not valid TOML: {error}.") from error
    try:
        return Target(**_checked(record))
    except TargetError as error:
        raise TargetError(f"Board file {path}: {error}") from error


@cache
def shipped_boards() -> dict[str, Target]:
    """The board files that come with AstroEdge, by name, in alphabetical order."""
    boards = [read_board(path) for path in BOARDS.glob("*.toml")]
    return {board.name: board for board in sorted(boards, key=lambda board: board.name)}


def _checked(record: dict[str, Any]) -> dict[str, Any]:
    """The record with lists as tuples, once its keys and the types of its values are right."""
    known = {item.name: item for item in fields(Target)}
    for key in record:
        if key not in known:
            raise TargetError(f"unknown key {key!r}; the keys are {', '.join(known)}.")
    missing = [name for name, item in known.items() if name not in record and item.default is MISSING]
    if missing:
        raise TargetError(f"{', '.join(missing)} missing; copy a shipped board file and change it.")
    return {key: _typed(key, value, str(known[key].type)) for key, value in record.items()}


def _typed(key: str, value: Any, kind: str) -> Any:
    """The value of a key whose field is annotated `kind`, or TargetError."""
    if kind == "tuple[str, ...]":
        right = isinstance(value, list) and all(isinstance(item, str) for item in value)
        _check(right, key, value, "a list of texts")
        return tuple(value)
    expected = {"str": str, "int": int}[kind]
    _check(type(value) is expected, key, value, "a text" if expected is str else "an integer")
    return value


def _check(right: bool, key: str, value: object, allowed: str) -> None:
    if not right:
        raise TargetError(f"{key} is {value!r}; it must be {allowed}.")
