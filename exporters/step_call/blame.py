"""Whose fault an error is: what a model raises while export runs it is said to be the model's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from astroedge.errors import AstroEdgeError, ExportError
from astroedge.exporters.shared.labels import label

LONGEST_REASON = 300


class ModelFailure(ExportError):
    """What the user's own code raised while export ran it; `raised` is the class and the first line of that."""

    def __init__(self, message: str, raised: str) -> None:
        """Blame with `message`."""
        super().__init__(message)
        self.raised = raised

    def __reduce__(self) -> tuple[type[ModelFailure], tuple[str, str]]:
        """Both come back from the child process."""
        return type(self), (str(self), self.raised)


@contextmanager
def blame_model(name: str, model: nn.Module | None = None) -> Iterator[None]:
    """Turn whatever the user's own code raises into a ModelFailure with its name and the part of `model` at fault."""
    try:
        yield
    except AstroEdgeError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or ["no message"])[0][:LONGEST_REASON]
        raised = f"{type(error).__name__}: {reason}"
        raise ModelFailure(
            f"{name} fails on the example{_inside(error, model)} ({raised}); check the shapes, dtypes and devices of "
            "inputs and states, and reset the model if it still holds the state of another batch.",
            raised,
        ) from error


@contextmanager
def as_export_errors() -> Iterator[None]:
    """For users a failure of their model is an ExportError like any other."""
    try:
        yield
    except ModelFailure as error:
        raise ExportError(str(error)) from error


def _inside(error: BaseException, model: nn.Module | None) -> str:
    """` in Module 'path' (Class)`, the innermost part of `model` that was running; nothing for the model itself."""
    parts = [] if model is None else [(path, module) for path, module in model.named_modules() if path]
    labels = {id(module): f" in {label(path, module)}" for path, module in parts}
    found, trace_back = "", error.__traceback__
    while trace_back is not None:
        found = labels.get(id(trace_back.tb_frame.f_locals.get("self")), found)
        trace_back = trace_back.tb_next
    return found
