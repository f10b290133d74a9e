"""The places in which PyTorch models keep what they remember, each with the habits of those who write it so."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

State = dict[str, Tensor]
EXPLICIT = "explicit"
KEEPERS = (EXPLICIT, "buffer", "in place", "attribute", "none", "number", "dict", "tuple", "list", "deque", "object")


class Keeper(nn.Module):
    """Keeps the tensors of `initial` in the way `kind` from tick to tick; explicit ones it only knows the start of.

    `path` is where it lies in the model.
    """

    def __init__(self, kind: str, initial: State) -> None:
        super().__init__()
        self.path = ""
        self.kind = kind if _can_start(kind, initial) else "attribute"
        self.keys = tuple(initial)
        self.shapes = {key: tuple(tensor.shape) for key, tensor in initial.items()}
        self.dtypes = {key: tensor.dtype for key, tensor in initial.items()}
        values = [tensor.clone() for tensor in initial.values()]
        if self.kind in ("buffer", "in place"):
            for key, value in zip(self.keys, values, strict=True):
                self.register_buffer(key, value)
        elif self.kind in ("attribute", "none", "number"):
            for key, value in zip(self.keys, values, strict=True):
                setattr(self, key, _cold(self.kind, value))
        else:
            self.kept: Any = self._packed(values)

    def _packed(self, values: list[Tensor]) -> Any:
        """A container of the kind's type."""
        named = dict(zip(self.keys, values, strict=True))
        return {
            EXPLICIT: named,
            "dict": named,
            "tuple": tuple(values),
            "list": values,
            "deque": deque(values, maxlen=len(values)),
            "object": SimpleNamespace(**named),
        }[self.kind]

    def read(self) -> State:
        """The tensors now; those that are made in the first tick are made here."""
        if self.kind in ("buffer", "in place", "attribute"):
            return {key: getattr(self, key) for key in self.keys}
        if self.kind in ("none", "number"):
            return {key: self._warm(key) for key in self.keys}
        if self.kind in (EXPLICIT, "dict"):
            return dict(self.kept)
        if self.kind == "object":
            return {key: getattr(self.kept, key) for key in self.keys}
        return dict(zip(self.keys, self.kept, strict=True))

    def _warm(self, key: str) -> Tensor:
        value = getattr(self, key)
        if isinstance(value, Tensor):
            return value
        return torch.full(self.shapes[key], value or 0, dtype=self.dtypes[key])

    def write(self, state: State) -> None:
        """Keep `state` for the next tick."""
        for key in self.keys:
            if self.kind == "in place":
                getattr(self, key).copy_(state[key])
            elif self.kind in ("buffer", "attribute", "none", "number"):
                setattr(self, key, state[key])
            elif self.kind == "dict":
                self.kept[key] = state[key]
            elif self.kind == "object":
                setattr(self.kept, key, state[key])
            elif self.kind == "deque":
                self.kept.popleft()
                self.kept.append(state[key])
        if self.kind == "tuple":
            self.kept = tuple(state[key] for key in self.keys)
        elif self.kind == "list":
            self.kept[:] = [state[key] for key in self.keys]

    def names(self) -> dict[str, str]:
        """By key, the path from this module by which an exporter knows a state that is not explicit."""
        if self.kind in ("dict", "object"):
            return {key: f"kept.{key}" for key in self.keys}
        if self.kind in ("tuple", "list", "deque"):
            return {key: f"kept.{position}" for position, key in enumerate(self.keys)}
        return {key: key for key in self.keys}


def _can_start(kind: str, initial: State) -> bool:
    """Whether memory of this kind can begin with these values: not every one holds tensors before the first tick."""
    values = [tensor.unique() for tensor in initial.values()]
    if kind == "none":
        return all(value.tolist() == [0] for value in values)
    return kind != "number" or all(value.numel() == 1 for value in values)


def _cold(kind: str, value: Tensor) -> Any:
    """What memory of this kind holds before the first tick."""
    if kind == "attribute":
        return value
    return None if kind == "none" else value.reshape(-1)[0].item()
