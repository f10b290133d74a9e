from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import tvm
from tvm import s_tir, te

from astroedge.errors import TargetError
from astroedge.targets.boards.board_file import BOARDS, Target, read_board, shipped_boards
from astroedge.targets.boards.target import list_targets, resolve_target, tvm_target, zig_target
from astroedge.targets.families import FAMILIES
from tests.support import elf
from tests.support.codes import distinct_codes

NAMES = [target.name for target in list_targets()]
CODES = [target.name for target in distinct_codes()]
EXAMPLE = (BOARDS / "raspberry-pi-4.toml").read_text(encoding="utf-8")


def board_file(folder: Path, text: str) -> Path:
    """A board file of a user's own."""
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_promised_boards_are_shipped() -> None:
    """The boards that the documentation names are there, in alphabetical order."""
    assert set(NAMES) >= {
        "aarch64",
        "jetson-agx-orin",
        "jetson-orin-nano",
        "raspberry-pi-3",
        "raspberry-pi-4",
        "raspberry-pi-5",
        "raspberry-pi-zero-2w",
        "x86-64-v2",
        "x86-64-v3",
        "x86-64-v4",
    }
    assert sorted(NAMES) == NAMES


def test_file_is_called_what_its_board_is_called() -> None:
    """A board is found in the file of its own name."""
    assert {path.stem: read_board(path).name for path in BOARDS.glob("*.toml")} == {name: name for name in NAMES}


@pytest.mark.compiles
@pytest.mark.parametrize("name", [*CODES, "native"])
def test_trivial_function_compiles_for_every_target(name: str, tmp_path: Path) -> None:
    """TVM accepts each target, those of equal code once, and emits an ELF object of its machine."""
    target = resolve_target(name)
    source = te.placeholder((64,), "float32", name="source")
    result = te.compute((64,), lambda i: source[i] + source[i], name="result")
    module = tvm.IRModule({"double": te.create_prim_func([source, result])})
    built = tvm.compile(module, target=tvm_target(target)).mod
    built.write_to_file(str(tmp_path / "double.o"), "o")
    assert elf.machine((tmp_path / "double.o").read_bytes()) == target.arch


@pytest.mark.compiles
@pytest.mark.guard
@pytest.mark.parametrize("name", CODES)
def test_vector_width_is_what_the_code_uses(name: str) -> None:
    """Sixteen-wide float sums use registers of the width the board file gives, and no wider ones.

    A guard: slow code computes the same numbers.
    """
    target = resolve_target(name)
    source = te.placeholder((1024,), "float32", name="source")
    result = te.compute((1024,), lambda i: source[i] + source[i], name="result")
    schedule = s_tir.Schedule(te.create_prim_func([source, result]))
    (loop,) = schedule.get_loops(schedule.get_sblock("result"))
    schedule.vectorize(schedule.split(loop, [None, 16])[1])
    assembly = tvm.compile(schedule.mod, target=tvm_target(target)).mod.inspect_source("asm")
    widths = {
        "x86_64": {"xmm": 128, "ymm": 256, "zmm": 512},
        "aarch64": {"v0.4s": 128, "z0.s": 0},
        "armv7l": {"s0": 32, "q8": 128, "q9": 128},
        "riscv64": {"fa5": 32, "v8": 128},
    }[target.arch]
    assert max(width for text, width in widths.items() if re.search(rf"\b{re.escape(text)}", assembly)) == (
        target.vector_bits
    )


def test_zig_target_is_triple_and_c_library() -> None:
    """The linker is told the oldest C library that must do."""
    assert zig_target(resolve_target("raspberry-pi-4")) == "aarch64-linux-gnu.2.28"
    assert zig_target(resolve_target("x86-64-v3")) == "x86_64-linux-gnu.2.28"


def test_family_follows_the_architecture() -> None:
    """Rules per family need no key of their own."""
    assert resolve_target("jetson-orin-nano").family is FAMILIES["arm"]
    assert resolve_target("x86-64-v2").family is FAMILIES["x86"]


def test_identity_keeps_what_a_loader_checks() -> None:
    """The manifest's identity is the target's name, triple, architecture, processor and features."""
    identity = resolve_target("raspberry-pi-5").identity
    assert identity.name == "raspberry-pi-5"
    assert (identity.triple, identity.arch, identity.cpu) == ("aarch64-linux-gnu", "aarch64", "cortex-a76")
    assert "asimddp" in identity.features


def test_levels_of_x86_contain_each_other() -> None:
    """What runs on one level runs on the next."""
    low, middle, high = (set(resolve_target(f"x86-64-v{level}").features) for level in (2, 3, 4))
    assert low < middle < high


def test_target_resolves_to_itself() -> None:
    """A Target is taken as it is."""
    target = resolve_target("raspberry-pi-3")
    assert resolve_target(target) is target


def test_own_board_file_is_read_by_path(tmp_path: Path) -> None:
    """A path, as text or Path, gives the target in that file."""
    path = board_file(tmp_path, EXAMPLE.replace('name = "raspberry-pi-4"', 'name = "my-board"'))
    assert resolve_target(path).name == "my-board"
    assert dataclasses.replace(resolve_target(str(path)), name="raspberry-pi-4") == shipped_boards()["raspberry-pi-4"]


def test_unknown_name_lists_the_known_and_the_nearest() -> None:
    """A misspelt board is answered with the one that was probably meant and with all others."""
    with pytest.raises(TargetError, match=r"no target 'rasberry-pi4'; did you mean 'raspberry-pi-4'\?") as caught:
        resolve_target("rasberry-pi4")
    assert all(name in str(caught.value) for name in ["native", *NAMES])


def test_missing_board_file_is_named() -> None:
    """A path that leads nowhere is said so."""
    with pytest.raises(TargetError, match=r"no/such\.toml cannot be read"):
        resolve_target("no/such.toml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cores = 4", "cores = 4\ncoers = 4", "unknown key 'coers'"),
        ("cores = 4", "", "cores missing"),
        ("cores = 4", 'cores = "4"', "cores is '4'; it must be an integer"),
        ("cores = 4", "cores = true", "cores is True; it must be an integer"),
        ("cores = 4", "cores = 0", "cores is 0; it must be at least 1"),
        ("cores = 4", "cores = ", "is not valid TOML"),
        (
            'arch = "aarch64"',
            'arch = "ppc64le"',
            "arch is 'ppc64le'; it must be x86_64 or aarch64 or armv7l or riscv64",
        ),
        ('arch = "aarch64"', 'arch = "x86_64"', "it must be x86_64-linux-gnu"),
        ('glibc = "2.28"', 'glibc = "latest"', "glibc is 'latest'"),
        ("vector_bits = 128", "vector_bits = 100", "vector_bits is 100; it must be 32, 128, 256 or 512"),
        ("l2_bytes = 1_048_576", "l2_bytes = -1", "l2_bytes is -1"),
        ('features = ["fp", "asimd"]', 'features = "fp asimd"', "must be a list of texts"),
        ('features = ["fp", "asimd"]', "features = [1]", "must be a list of texts"),
        ('cpu = "cortex-a72"', 'cpu = "cortex-a72"\nattributes = ["dotprod"]', r"each with \+ or - before it"),
        ('name = "raspberry-pi-4"', 'name = "My Board"', "name is 'My Board'"),
    ],
)
def test_invalid_board_file_is_refused_with_its_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    """Each mistake in a board file is one error that names the file and the key."""
    assert old in EXAMPLE
    path = board_file(tmp_path, EXAMPLE.replace(old, new))
    with pytest.raises(TargetError, match=message) as caught:
        resolve_target(path)
    assert str(path) in str(caught.value)


def test_processor_unknown_to_llvm_is_refused() -> None:
    """A misspelt processor is an error with the nearest name, not generic code."""
    target = dataclasses.replace(resolve_target("raspberry-pi-4"), cpu="cortex-a27")
    with pytest.raises(TargetError, match=r"'cortex-a27', which LLVM does not know; did you mean 'cortex-a7"):
        tvm_target(target)


def test_attributes_reach_the_compiler() -> None:
    """What a board file says about single instructions is in TVM's target."""
    target = dataclasses.replace(resolve_target("aarch64"), attributes=("+dotprod",))
    assert list(tvm_target(target).attrs["mattr"]) == ["+dotprod"]


def test_no_board_file_of_32_bit_arm_gets_the_vector_unit(tmp_path: Path) -> None:
    """Its floats drop denormals, so that an own board file that asks for it is not followed."""
    text = (BOARDS / "raspberry-pi-2.toml").read_text(encoding="utf-8")
    path = board_file(
        tmp_path, text.replace('cpu = "cortex-a7"', 'cpu = "cortex-a8"\nattributes = ["+neon", "+neonfp"]')
    )
    attributes = list(tvm_target(resolve_target(path)).attrs["mattr"])
    assert attributes == ["+neon", "+neonfp", "-neon"]


def test_target_cannot_be_changed() -> None:
    """Targets are values: a changed one is a new one."""
    target: Target = resolve_target("aarch64")
    with pytest.raises(dataclasses.FrozenInstanceError):
        target.cores = 8  # type: ignore[misc]
