"""Nested states as flat lists of tensors, and back: tensors in tuples, named tuples, lists, dicts and dataclasses.

Dict entries are visited in sorted key order, so that a model may return them in another order than it was given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor

Leaf = tuple[str, Tensor]
"""Dotted path inside the tree ("" for a tree that is one tensor) and the tensor."""


def leaves(tree: Any, path: str = "") -> list[Leaf]:
    """Every tensor in `tree` with its path: field names, dict keys and positions joined by dots.

    None is an empty place. Raises TypeError, naming the path, for anything else that is not a tensor or one of the
    containers of this module.
    """
    if isinstance(tree, Tensor):
        return [(path, tree)]
    if tree is None:
        return []
    return [
        leaf for key, child in _children(tree, path) for leaf in leaves(child, f"{path}.{key}" if path else str(key))
    ]


def rebuild(tree: Any, tensors: Iterable[Tensor]) -> Any:
    """A tree of the same structure with `tensors` in the places of its leaves, in the order of `leaves`."""
    return _rebuild(tree, iter(tensors))


def _children(tree: Any, path: str) -> list[tuple[Any, Any]]:
    """The parts of a container, with their keys."""
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return list(zip(tree._fields, tree, strict=True))
    if isinstance(tree, (tuple, list)):
        return list(enumerate(tree))
    if isinstance(tree, dict):
        return [(key, tree[key]) for key in sorted(tree, key=str)]
    if is_dataclass(tree) and not isinstance(tree, type):
        return [(item.name, getattr(tree, item.name)) for item in fields(tree)]
    raise TypeError(f"{path or 'it'} is a {type(tree).__name__}")


def _rebuild(tree: Any, tensors: Iterator[Tensor]) -> Any:
    if isinstance(tree, Tensor):
        return next(tensors)
    if tree is None:
        return None
    children = {key: _rebuild(child, tensors) for key, child in _children(tree, "")}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(**children)
    if isinstance(tree, (tuple, list)):
        return type(tree)(children.values())
    if isinstance(tree, dict):
        return {key: children[key] for key in tree}
    return replace(tree, **children)
