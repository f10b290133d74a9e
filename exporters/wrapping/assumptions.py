"""Notes on what export takes for granted about a model of the user's own: which values are states."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from astroedge.exporters.shared.library_code import is_library
from astroedge.exporters.step_call.signature import StepCall
from astroedge.exporters.step_call.state_tree import Leaf


def assumed_states(call: StepCall) -> list[str]:
    """Arguments that were left out and are None then: those of a cell of PyTorch or a framework are states for sure."""
    if _is_documented(call):
        return []
    names = ", ".join(repr(name) for name in call.argument_names()[len(call.arguments) :])
    return [
        f"What {call.label} returns last was taken for the next value of {names}, which the example leaves out; if it "
        "is an output, export a forward without that argument."
    ]


def states_for_outputs(call: StepCall, outputs: Sequence[Leaf], following: Sequence[Tensor]) -> list[str]:
    """A model that returns as many tensors as it has states: each is a state, and an output too."""
    if not following or outputs[0][1] is not following[0] or _is_documented(call):
        return []
    names = ", ".join(repr(path) for path in call.state_paths())
    return [
        f"{call.label} returns as many tensors as it has states, so all it returns was taken for their next values, in "
        f"the order {names}; if one of them is an output, return every state after the outputs."
    ]


def _is_documented(call: StepCall) -> bool:
    """Whether what is called is a module of PyTorch or a framework, whose documentation says what it returns."""
    return isinstance(call.function, nn.Module) and is_library(type(call.function).__module__)
