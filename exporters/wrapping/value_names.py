"""Names of inputs, outputs and states: given by the user, else by the model, else from signatures and paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from torch import Tensor, nn

from astroedge.errors import ExportError
from astroedge.exporters.frameworks import readable
from astroedge.exporters.shared.labels import unique
from astroedge.exporters.state.locations import HiddenState
from astroedge.exporters.step_call.signature import StepCall
from astroedge.exporters.step_call.state_tree import Leaf
from astroedge.step.spec import INITIAL_PREFIX, NEXT_PREFIX, STATE_PREFIX


@dataclass(frozen=True)
class Names:
    """Names in the order of the tensors; None where the user gave none."""

    inputs: Sequence[str] | None = None
    outputs: Sequence[str] | None = None
    states: Sequence[str] | None = None


def choose_names(
    given: Names, call: StepCall, outputs: Sequence[Leaf], hidden_states: Sequence[HiddenState]
) -> tuple[list[str], ...]:
    """Names of all inputs, outputs and states of a step.

    Raises ExportError when given names are too few or too many, or stand for two things.
    """
    own_states = call.state_paths() + [readable(hidden.name) for hidden in hidden_states]
    inputs = _chosen("input", given.inputs, call.model, call.input_names())
    named = _chosen("output", given.outputs, call.model, _output_names(outputs, inputs))
    states = _chosen("state", given.states, call.model, own_states)
    for name in (*inputs, *named):
        if name.startswith((STATE_PREFIX, NEXT_PREFIX, INITIAL_PREFIX)):
            raise ExportError(
                f"{name!r} looks like the name of a state; give inputs and outputs names without that prefix."
            )
    both = [name for name in named if name in inputs]
    if both:
        raise ExportError(f"{both[0]!r} is the name of an input and of an output; give another with output_names=.")
    return inputs, named, states


def _chosen(kind: str, given: Sequence[str] | None, model: nn.Module, default: list[str]) -> list[str]:
    """The names given, else those the model has, else `default` made unique."""
    if isinstance(given, str):
        raise ExportError(f"{kind}_names must be a list of names, not the string {given!r}.")
    if given is not None:
        if len(given) != len(default):
            raise ExportError(
                f"{kind}_names has {len(given)} names for {len(default)} {kind}s ({', '.join(default)}); give one for "
                "each."
            )
        names = [str(name) for name in given]
        for name in names:
            if not name or names.count(name) > 1:
                raise ExportError(
                    f"{kind}_names holds {name!r} {'twice' if name else ''}; names must be unique and not empty."
                )
        return names
    own = getattr(model, f"{kind}_names", None)
    own = own() if callable(own) else own
    if (
        isinstance(own, (list, tuple))
        and len(own) == len(default) == len(set(own))
        and all(isinstance(n, str) for n in own)
    ):
        return list(own)
    names = []
    for name in default:
        names.append(unique(name, names))
    return names


def _output_names(outputs: Sequence[Leaf], inputs: Sequence[str]) -> list[str]:
    """The keys under which the model returns its outputs; `y`, `y1`, `y2` and so on for those that have none."""
    keys = [path.rpartition(".")[2] for path, _ in outputs]
    usable = [bool(key) and not key.isdigit() and key not in inputs for key in keys]
    plain = (unique(f"y{number}" if number else "y", inputs) for number in count())
    return [key if named else next(plain) for key, named in zip(keys, usable, strict=True)]


def wrapper_path(model: nn.Module) -> list[str]:
    """Names of modules around the model that hold nothing but one module, outermost first."""
    path: list[str] = []
    while True:
        children = list(model.named_children())
        if len(children) != 1 or any(True for _ in model.parameters(recurse=False)) or _own_memory(model):
            return path
        name, model = children[0]
        path.append(name)


def _own_memory(model: nn.Module) -> list[Tensor]:
    return [*model.buffers(recurse=False), *(value for value in vars(model).values() if isinstance(value, Tensor))]
