"""What is made of functions, once for those that are equal: layers and ticks of a loop repeat each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from tvm import tirx
from tvm_ffi import structural_equal, structural_hash

Made = TypeVar("Made")


class EqualFunctions(Generic[Made]):
    """A table from functions to what was made of them; functions that differ in names alone are one."""

    def __init__(self) -> None:
        self._same: dict[tirx.PrimFunc, Made] = {}
        self._equal: dict[int, list[tuple[tirx.PrimFunc, Made]]] = {}

    def get(self, function: tirx.PrimFunc, make: Callable[[], Made]) -> Made:
        """What belongs to a function equal to this one, made now if this is the first."""
        if function not in self._same:
            alike = self._equal.setdefault(structural_hash(function), [])
            found = next((made for known, made in alike if structural_equal(known, function)), None)
            if found is None:
                found = make()
                alike.append((function, found))
            self._same[function] = found
        return self._same[function]
