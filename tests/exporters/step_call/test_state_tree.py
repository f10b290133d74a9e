"""Nested states as flat lists and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from astroedge.exporters.step_call.state_tree import leaves, rebuild


class Pair(NamedTuple):
    """Two of something."""

    first: Any
    second: Any


@dataclass
class Box:
    """One of something."""

    content: Any


tensors = st.integers(0, 9).map(lambda number: torch.full((2,), float(number)))
trees = st.recursive(
    tensors | st.none(),
    lambda parts: (
        st.lists(parts, max_size=3)
        | st.lists(parts, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from("abc"), parts, max_size=3)
        | st.builds(Pair, parts, parts)
        | st.builds(Box, parts)
    ),
    max_leaves=8,
)


@given(trees)
def test_rebuild_puts_every_leaf_back(tree: Any) -> None:
    """A tree rebuilt with doubled leaves has the same structure and paths, and doubled leaves."""
    doubled = rebuild(tree, [tensor * 2 for _, tensor in leaves(tree)])
    assert [path for path, _ in leaves(doubled)] == [path for path, _ in leaves(tree)]
    assert all(torch.equal(a, b * 2) for (_, a), (_, b) in zip(leaves(doubled), leaves(tree), strict=True))
    assert type(doubled) is type(tree)


def test_paths_name_fields_keys_and_positions() -> None:
    """A path joins field names, keys and positions by dots."""
    tree = {"b": Pair(torch.zeros(1), [torch.zeros(1)]), "a": Box(torch.zeros(1))}
    assert [path for path, _ in leaves(tree, "state")] == ["state.a.content", "state.b.first", "state.b.second.0"]


def test_dict_order_does_not_matter() -> None:
    """Two dicts with the same entries in another order give their leaves in the same order."""
    one, two = torch.zeros(1), torch.ones(1)
    assert [path for path, _ in leaves({"x": one, "y": two})] == [path for path, _ in leaves({"y": two, "x": one})]


def test_single_tensor_is_a_tree_of_its_own() -> None:
    """A bare tensor has an empty path."""
    assert [path for path, _ in leaves(torch.zeros(1))] == [""]


@pytest.mark.parametrize("wrong", [1.5, "text", {1, 2}, [torch.zeros(1), 3]])
def test_anything_else_is_refused(wrong: Any) -> None:
    """A number inside a state is an error that names its place."""
    with pytest.raises(TypeError, match=r"(1|it) is a "):
        leaves(wrong)


def test_rebuild_of_a_dict_keeps_its_own_order() -> None:
    """The rebuilt dict iterates as the given one did."""
    tree = {"y": torch.zeros(1), "x": torch.ones(1)}
    rebuilt: dict[str, Tensor] = rebuild(tree, [tensor for _, tensor in leaves(tree)])
    assert list(rebuilt) == ["y", "x"]
    assert rebuilt["x"].item() == 1.0
