"""How a model is called for one tick: which arguments are data, which are states, and what comes back.

A model with explicit state follows `forward(*inputs, *states) -> (outputs…, *states)`. The states may be given one by
one or as one nested argument, and what it returns may be nested in any way as long as the last tensors are the next
states.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from torch import Tensor, nn

from astroedge.errors import ExportError
from astroedge.exporters.step_call.state_tree import Leaf, leaves, rebuild

StepFunction = Callable[..., Any]


@dataclass(frozen=True)
class StepCall:
    """One tick as `function(*inputs, *state arguments)`; `states` holds the state arguments as given."""

    function: StepFunction
    model: nn.Module
    inputs: tuple[Tensor, ...]
    states: tuple[Any, ...]

    @property
    def state_leaves(self) -> list[Tensor]:
        """The tensors in the state arguments, in order."""
        return [tensor for tree in self.states for _, tensor in leaves(tree)]

    def __call__(self, inputs: Sequence[Tensor], states: Sequence[Tensor]) -> tuple[list[Leaf], list[Tensor]]:
        """Run one tick: the outputs with their paths in what the model returned, and the next states.

        A model that returns nothing but its states gives them as outputs too.
        """
        arguments = rebuild(self.states, states)
        result = self.function(*inputs, *arguments)
        try:
            found = leaves(result)
        except TypeError as error:
            raise ExportError(
                f"{self.label} returns something that is no tensor ({error}); return tensors only."
            ) from error
        if len(found) < len(states):
            raise ExportError(
                f"{self.label} returns {len(found)} tensors but was given {len(states)} states; it must return "
                "(outputs, *next states): return every state, in the order of the arguments."
            )
        following = [tensor for _, tensor in found[len(found) - len(states) :]]
        outputs = found[: len(found) - len(states)] or found
        if not outputs:
            raise ExportError(f"{self.label} returns nothing; return at least one tensor.")
        return outputs, following

    @property
    def label(self) -> str:
        """The function's name, for messages."""
        if isinstance(self.function, nn.Module):
            return f"{type(self.function).__name__}.forward"
        return str(getattr(self.function, "__qualname__", type(self.function).__name__))

    @property
    def title(self) -> str:
        """A name for the step: the class of the model, or the function's name."""
        function = self.function
        owner = function if isinstance(function, nn.Module) else getattr(function, "__self__", None)
        return type(owner).__name__ if owner is not None else str(getattr(function, "__name__", "step"))

    def optional_arguments(self) -> int:
        """How many arguments after the inputs and the states are None when they are left out."""
        rest = _positional(self.function)[len(self.inputs) + len(self.states) :]
        return sum(1 for _ in takewhile(lambda item: item.default is None, rest))

    def argument_names(self) -> list[str]:
        """Names of inputs, then of state arguments; `*states` gives `states.0`, `states.1` and so on."""
        count = len(self.inputs) + len(self.states)
        names: list[str] = []
        for parameter in _positional(self.function):
            if parameter.kind is parameter.VAR_POSITIONAL:
                names += [f"{parameter.name}.{index}" for index in range(count - len(names))]
            else:
                names.append(parameter.name.strip("_") or parameter.name)
        return names[:count] + [f"input.{index}" for index in range(len(names), count)]

    def state_paths(self) -> list[str]:
        """A name for each state tensor: its argument's name and its path inside; an argument `state` adds nothing."""
        arguments = self.argument_names()[len(self.inputs) :]
        paths = [path for name, tree in zip(arguments, self.states, strict=True) for path, _ in leaves(tree, name)]
        return [path.partition(".")[2] if path.startswith(("state.", "states.")) else path for path in paths]


def make_call(model: Any, inputs: Any, states: Any) -> StepCall:
    """Check the arguments of `export` and settle how the model is called.

    `model` is a module, a method of one or a function. Raises ExportError for arguments that are not CPU tensors.
    """
    function, owner = _function_and_owner(model)
    if not isinstance(inputs, (Tensor, tuple, list)):
        raise ExportError(f"The inputs are a {type(inputs).__name__}; give example inputs as a tuple of tensors.")
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    arguments = _state_arguments(function, len(given), states)
    for position, tensor in enumerate(given):
        if not isinstance(tensor, Tensor):
            raise ExportError(
                f"Input {position} is a {type(tensor).__name__}; give example inputs as a tuple of tensors."
            )
    try:
        found = [leaf for tree in arguments for leaf in leaves(tree)]
    except TypeError as error:
        raise ExportError(
            f"The states hold something that is no tensor: {error}; give every state as a tensor."
        ) from error
    named = [(f"Input {number}", tensor) for number, tensor in enumerate(given)]
    named += [(f"State {path or number!r}", tensor) for number, (path, tensor) in enumerate(found)]
    for what, tensor in named:
        if tensor.device.type != "cpu":
            raise ExportError(
                f"{what} lies on {tensor.device}; export runs on the CPU: call .cpu() on it and on the model."
            )
    clones = tuple(tensor.detach().clone() for tensor in given)
    return StepCall(function, owner, clones, rebuild(arguments, [tensor.detach().clone() for _, tensor in found]))


def _function_and_owner(model: Any) -> tuple[StepFunction, nn.Module]:
    """What to call, and the module whose state it may hide (an empty one for a plain function)."""
    if isinstance(model, nn.Module):
        return model, model
    if not callable(model):
        raise ExportError(
            f"Cannot export a {type(model).__name__}; give a torch module, one of its methods or a function."
        )
    owner = getattr(model, "__self__", None)
    return model, owner if isinstance(owner, nn.Module) else nn.Module().eval()


def _state_arguments(function: StepFunction, inputs: int, states: Any) -> tuple[Any, ...]:
    """The states as positional arguments: a plain tuple or list is spread if the signature has room for it."""
    if states is None:
        return ()
    if not isinstance(states, (tuple, list)) or hasattr(states, "_fields"):
        return (states,)
    parameters = _positional(function)
    room = len(parameters) - inputs
    if len(states) > room and not any(item.kind is item.VAR_POSITIONAL for item in parameters):
        return (states,)
    return tuple(states)


def _positional(function: StepFunction) -> list[inspect.Parameter]:
    """The parameters that positional arguments can reach."""
    target = function.forward if isinstance(function, nn.Module) else function
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return []
    return [item for item in parameters if item.kind not in (item.KEYWORD_ONLY, item.VAR_KEYWORD)]
