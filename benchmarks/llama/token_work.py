"""What a process is given that steps a language model token by token; without imports that would take memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TokenWork:
    """The network in the file `path`, to be stepped on `threads` threads after `context` tokens.

    `state` is the file that holds what those tokens left, as `fill` of the same kind of stream wrote it; None for a
    stream at its start. `batch` is how many tokens may be given at once: one, but where a context is filled.
    """

    path: str
    threads: int
    context: int = 0
    state: str | None = None
    batch: int = 1

    @property
    def names(self) -> tuple[str]:
        """The input of a tick."""
        return ("token",)
