"""What a user may say about precisions, and what is refused."""

from __future__ import annotations

import pytest

from astroedge.errors import CompileError
from astroedge.targets.precision.rules import read_precision

NAMES = ("embedding.weight", "blocks.0.W_q.weight", "blocks.1.W_q.weight", "head.weight")


def test_one_precision_is_for_all_weights() -> None:
    """A single word needs no pattern."""
    assert {read_precision("int8").of(name).name for name in NAMES} == {"int8"}


def test_the_last_pattern_that_matches_counts() -> None:
    """Overrides are tried from the last; a name is matched with and without ".weight"."""
    rules = read_precision("int4, blocks.*=int8, blocks.1.*=float16, head=float32")
    assert [rules.of(name).name for name in NAMES] == ["int4", "int8", "float16", "float32"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_mapping_says_the_same_in_any_order_of_the_star(order: int) -> None:
    """The star is for all weights wherever it stands, and without it what no pattern names stays float32."""
    rules = read_precision(dict([("*", "int4"), ("head*", "int8")][::order]))
    assert [rules.of(name).name for name in NAMES] == ["int4", "int4", "int4", "int8"]
    assert read_precision({"head*": "int8"}).of("embedding.weight").name == "float32"


@pytest.mark.parametrize("text", ["int8", "float32, head=int8", "int4, blocks.?.W_[qk]=int8, head=float16"])
def test_the_text_of_rules_reads_back(text: str) -> None:
    """The canonical text, which a manifest keeps, stands for the same rules."""
    assert read_precision(text).text == text
    assert read_precision(f" head=int8 ,{text} ").text.startswith(text.partition(",")[0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("int7", "'int7' is not one of float32, float16, int8, int4"),
        ("head=double", "'double' is not one of"),
        ("", "'' is not one of"),
        ("int8, int4", "int8 and int4 for all weights"),
        ({"a,b": "int8"}, "'a,b' is no pattern"),
        ("=int8", "'' is no pattern"),
    ],
)
def test_what_means_nothing_is_refused(given: str, message: str) -> None:
    """Unknown precisions, two for all weights and patterns that cannot be written are errors."""
    with pytest.raises(CompileError, match=message):
        read_precision(given)


def test_a_pattern_without_a_weight_is_an_error_that_lists_them() -> None:
    """A misspelt layer is found at once, with the names it may have."""
    with pytest.raises(CompileError, match=r"haed\*=int8 matches no weight.* blocks.0.W_q, .*head\."):
        read_precision("haed*=int8").check(NAMES)
    read_precision("head*=int8").check(NAMES)
