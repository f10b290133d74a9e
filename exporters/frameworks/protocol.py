"""What every file of this room offers: all that is particular to one framework."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

Starts = dict[int, tuple[Tensor, Tensor]]
"""By the id of a state that a module returned: that state, so that its id stays its own, and what it started from."""


class Framework(Protocol):
    """A framework, whose modules are those of classes that its package defines."""

    PACKAGE: str
    """The name that it is imported by."""
    CONTAINERS: tuple[str, ...]
    """Attributes that stand between a module and its states, and that the states' names do without."""

    def refuse(self, path: str, module: nn.Module) -> None:
        """Raise ExportError for a setting that makes `module` something else than one tick."""

    def refuse_call(self, path: str, module: nn.Module, arguments: tuple[Any, ...]) -> None:
        """Raise ExportError where `module`, about to be called, is given something else than one tick."""

    def note(self, path: str, module: nn.Module) -> str | None:
        """What a user should know about `module`, which is exported as it is; or nothing."""

    def scratch(self, module: nn.Module) -> frozenset[str]:
        """The attributes that `module` writes in every tick and never reads."""

    def make_static(self, module: nn.Module) -> None:
        """Turn settings that are kept as tensors, which tracing cannot decide on, into Python values."""

    def watch_start(self, module: nn.Module, starts: Starts) -> None:
        """Have `module` note in `starts` where every state that it returns started, if it makes states itself.

        `module` is a copy that is thrown away: the watching is not undone.
        """
