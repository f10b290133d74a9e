"""What each precision is, in numbers worked out by hand; and nothing outside asks which one it is."""

from __future__ import annotations

import ast
import json

import numpy as np
import pytest

from astroedge.cli.compile import compile_command
from astroedge.errors import CompileError
from astroedge.targets.precision.storage import BLOCK, GROUP, INT4, INT8, STORAGES, Storage, storage_of_data
from astroedge.workflows.compile_graph import compile as compile_graph
from tests.support.places import DOCS, ROOT

FACTS = {
    # of a matrix of 200 inputs and 10 outputs: bytes; how many scales a column has; which of them input 130 has
    "float32": {"bits": 32, "data_type": "float32", "sum_block": 256, "nbytes": 8000, "scales": 0, "scale": 0},
    "float16": {"bits": 16, "data_type": "float16", "sum_block": 256, "nbytes": 4000, "scales": 0, "scale": 0},
    "int8": {"bits": 8, "data_type": "int8", "sum_block": 256, "nbytes": 2040, "scales": 1, "scale": 0},
    "int4": {"bits": 4, "data_type": "uint8", "sum_block": 64, "nbytes": 1160, "scales": 4, "scale": 2},
}
KINDS = {
    # plain, integer, two to a byte, scaled by column, scaled by group
    "float32": (True, False, False, False, False),
    "float16": (False, False, False, False, False),
    "int8": (False, True, False, True, False),
    "int4": (False, True, True, False, True),
}
SOURCES = ("astroedge", "exporters", "runtimes", "targets")
BORDERS = {
    # a manifest says "float32" of weights that take as much room as they did: devices show it, and have no `Storage`
    "astroedge/cli/shared/show_step.py",
}
DTYPES = {"float32", "float16", "int8"}  # of tensors, too
# FLOAT32 is what weights are until they are stored.
IMPORTED = {"Storage", "FLOAT32", "BLOCK", "GROUP", "EXACT", "storage_of_data"}


def test_packed_weights_tell_their_storage() -> None:
    """No two precisions pack weights in one dtype."""
    assert [storage_of_data(storage.data_type) for storage in STORAGES.values()] == list(STORAGES.values())


@pytest.mark.parametrize("word", STORAGES)
def test_a_precision_is_what_it_was_worked_out_to_be(word: str) -> None:
    """Bits, element type, block of a sum, bytes and scales; a precision without a row here is not finished."""
    storage = STORAGES[word]
    assert {
        "bits": storage.bits,
        "data_type": storage.data_type,
        "sum_block": storage.sum_block,
        "nbytes": storage.nbytes(200, 10),
        "scales": storage.scale_rows(200),
        "scale": storage.group_of(130),
    } == FACTS[storage.name]
    kinds = (storage.is_plain, storage.is_integer, storage.packs_nibbles)
    assert (*kinds, storage.scaled_by_column, storage.scaled_by_group) == KINDS[word]


def test_a_row_of_an_odd_number_of_columns_ends_with_half_a_byte() -> None:
    """Elements of a row of 7 weights: two to a byte only in int4."""
    assert {word: storage.data_size(7) for word, storage in STORAGES.items()} == {
        "float32": 7, "float16": 7, "int8": 7, "int4": 4,
    }  # fmt: skip


def test_inputs_share_a_scale_all_or_by_groups() -> None:
    """200 inputs of an int8 column have one scale; those of int4 have one for each 64."""
    assert (INT8.group_rows(200), INT4.group_rows(200)) == (200, 64)


@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
def test_sums_begin_where_active_lists_have_a_bound(storage: Storage) -> None:
    """A sum is a whole number of the list's groups, and a block of the reduction order a whole number of sums."""
    assert storage.sum_block % GROUP == 0
    assert BLOCK % storage.sum_block == 0


@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
def test_convolutions_read_whole_elements_scaled_by_column(storage: Storage) -> None:
    """What is packed or scaled by groups names a precision that convolutions have instead."""
    used = storage.in_convolutions or storage
    assert not used.packs_nibbles
    assert not used.scaled_by_group
    assert INT4.in_convolutions is INT8


@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
def test_the_choice_of_kernels_knows_every_speed(storage: Storage) -> None:
    """Integers, and they alone, meet inputs in fixed point, which beats widening them."""
    for adds_widened in (False, True):
        speeds = storage.speeds_where(adds_widened)
        assert (speeds.fixed_point > speeds.multiplied) == storage.is_integer
        assert speeds.added >= speeds.multiplied > 0
    assert (storage.speeds_where(True) != storage.speeds_where(False)) == storage.is_integer


def test_only_int8_sums_can_outgrow_float32() -> None:
    """131,072 · 128 is 2²⁴; groups are short, and floats round alike everywhere."""
    assert {word: storage.most_rows for word, storage in STORAGES.items()} == {
        "float32": None, "float16": None, "int8": 131_072, "int4": None,
    }  # fmt: skip
    INT8.check_rows(131_072)
    with pytest.raises(CompileError, match="An int8 matrix of 131073 inputs"):
        INT8.check_rows(131_073)
    INT4.check_rows(10**9)


@pytest.mark.parametrize(
    ("tensor", "rows", "refusing", "reason"),
    [
        (np.float32([[1.0, np.inf]]), 2, {"float16", "int8", "int4"}, "an infinity or a NaN"),
        (np.float32([[1.0, np.nan]]), 2, {"float16", "int8", "int4"}, "an infinity or a NaN"),
        (np.float32([[1.0, -65520.0]]), 2, {"float16"}, "a weight that float16 cannot"),
        (np.float32([[1.0, -65504.0]]), 2, set(), ""),
        (np.float16([[1.0, 2.0]]), 2, {"int8", "int4"}, "the graph has it in float16"),
        (np.float32([[1.0, 2.0]]), 1, {"int8", "int4"}, "its scales would take more room"),
    ],
)
def test_what_cannot_be_stored_says_why(tensor: np.ndarray, rows: int, refusing: set[str], reason: str) -> None:
    """Each precision refuses its own weights, and no others."""
    problems = {word: storage.problem(tensor, rows) for word, storage in STORAGES.items()}
    assert {word for word, problem in problems.items() if problem} == refusing
    assert all(reason in problem for problem in problems.values() if problem)


@pytest.mark.parametrize("word", STORAGES)
def test_users_are_told_of_every_precision(word: str) -> None:
    """The word is in the help of `compile`, in its docstring and page, and allowed in a manifest."""
    schema = json.loads((ROOT / "astroedge" / "schemas" / "manifest.schema.json").read_text(encoding="utf-8"))
    assert word in schema["$defs"]["precision"]["enum"]
    assert word in next(item.help or "" for item in compile_command.params if item.name == "precision")
    assert f'"{word}"' in (compile_graph.__doc__ or "")
    assert f"`{word}`" in (DOCS / "command-line.md").read_text(encoding="utf-8")


def test_no_code_asks_which_precision_it_has() -> None:
    """Outside the room of precisions code asks what a `Storage` can do: no chain of words to extend for a new one."""
    files = [path for folder in SOURCES for path in (ROOT / folder).rglob("*.py") if not path.is_symlink()]
    names = {path.relative_to(ROOT).as_posix(): path for path in files}
    searched = {name: path for name, path in names.items() if not name.startswith("targets/precision/")}
    assert len(searched) > 100
    assert searched.keys() >= BORDERS
    found = {name: chains(path.read_text(encoding="utf-8")) for name, path in searched.items() if name not in BORDERS}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "code",
    [
        'word == "int4"',
        'given.precision == "float32"',
        'storage.name in ("float16", "float32")',
        "storage.name == other",
        "stored.storage is FLOAT32",
        '{"int8": 1, "int4": 2}.get(word)',
        'match word:\n    case "int4":\n        pass',
        "from astroedge.targets.precision.storage import INT8",
        "from astroedge.targets.precision.storage import STORAGES",
    ],
)
def test_the_search_finds_every_form_of_a_chain(code: str) -> None:
    """A comparison, a membership, a table of words, a pattern, and the objects themselves."""
    assert chains(code) == [2 if code.startswith("match") else 1]


@pytest.mark.parametrize(
    "code",
    [
        'tensor.dtype == "float16"',
        'sums != cast(0, "int8")',
        "def widen(storage: Storage = FLOAT32): ...",
        "storage.bits == 8",
        "from astroedge.targets.precision.storage import FLOAT32, Storage",
    ],
)
def test_the_search_passes_dtypes_and_defaults(code: str) -> None:
    """A dtype, what is asked of an object, and the default of a kernel are no chain."""
    assert chains(code) == []


def chains(code: str) -> list[int]:
    """The lines that ask which precision something is, by its word or by its object."""
    return [node.lineno for node in ast.walk(ast.parse(code)) if is_chain(node)]


def is_chain(node: ast.AST) -> bool:
    """Whether a comparison, a table, a pattern or an import is about single precisions."""
    match node:
        case ast.Compare():
            return asks([node.left, *node.comparators])
        case ast.Dict():
            return any(words_in(key) - DTYPES for key in node.keys if key)
        case ast.MatchValue():
            return bool(words_in(node.value) - DTYPES)
        case ast.ImportFrom(module=Storage.__module__):
            return bool({alias.name for alias in node.names} - IMPORTED)
    return False


def asks(sides: list[ast.expr]) -> bool:
    """Whether a comparison of these is with a precision: a dtype counts only beside something named after one."""
    texts = [ast.unparse(side) for side in sides]
    words = set().union(*map(words_in, sides))
    objects = "FLOAT32" in texts or any(text.endswith("storage.name") for text in texts)
    named = any(name in text for text in texts for name in ("storage", "precision"))
    return objects or bool(words - DTYPES) or (named and bool(words))


def words_in(side: ast.expr) -> set[str]:
    """The precisions that a text or a collection of texts names."""
    members = side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else [side]
    return {item.value for item in members if isinstance(item, ast.Constant) and item.value in STORAGES}
