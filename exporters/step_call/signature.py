"""How a model is called for one tick: which arguments are data, which are states, and what comes back.

A model with explicit state follows `forward(*inputs, *states) -> (outputs…, *states)`. Inputs may be nested, and given
by the names of arguments. The states may be given one by one or as one nested argument, and what it returns may be
nested in any way as long as the last tensors are the next states.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor, nn

from astroedge.errors import ExportError
from astroedge.exporters.step_call.state_tree import Leaf, leaves, rebuild

StepFunction = Callable[..., Any]


@dataclass(frozen=True)
class StepCall:
    """One tick as `function(*arguments, *states, **keywords)`.

    `arguments` and `keywords` hold the inputs in the nesting in which the function takes them, `states` the state
    arguments as given. `notes` say what was done to make plain tensors of them.
    """

    function: StepFunction
    model: nn.Module
    arguments: tuple[Any, ...]
    states: tuple[Any, ...]
    keywords: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors in the inputs, in order: those of positional arguments, then those of keywords."""
        return tuple(tensor for _, tensor in leaves((self.arguments, dict(self.keywords))))

    @property
    def state_leaves(self) -> list[Tensor]:
        """The tensors in the state arguments, in order."""
        return [tensor for tree in self.states for _, tensor in leaves(tree)]

    def __call__(self, inputs: Sequence[Tensor], states: Sequence[Tensor]) -> tuple[list[Leaf], list[Tensor]]:
        """Run one tick: the outputs with their paths in what the model returned, and the next states.

        A model that returns nothing but its states gives them as outputs too.
        """
        result = self.invoke(inputs, rebuild(self.states, states))
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

    def invoke(self, inputs: Sequence[Tensor], states: Sequence[Any]) -> Any:
        """Call the function with `inputs` in their places, and state arguments in their own nesting."""
        arguments, keywords = rebuild((self.arguments, dict(self.keywords)), inputs)
        return self.function(*arguments, *states, **keywords)

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
        rest = _positional(self.function)[len(self.arguments) + len(self.states) :]
        rest = [item for item in rest if item.name not in self.keywords]
        return sum(1 for _ in takewhile(lambda item: item.default is None, rest))

    def argument_names(self) -> list[str]:
        """Names of positional inputs, then of state arguments; `*states` gives `states.0`, `states.1` and so on."""
        count = len(self.arguments) + len(self.states)
        names: list[str] = []
        for parameter in _positional(self.function):
            if parameter.kind is parameter.VAR_POSITIONAL:
                names += [f"{parameter.name}.{index}" for index in range(count - len(names))]
            else:
                names.append(parameter.name.strip("_") or parameter.name)
        return names[:count] + [f"input.{index}" for index in range(len(names), count)]

    def input_names(self) -> list[str]:
        """A name for each input tensor: its argument's, or its own key in that; the whole path if several share it."""
        named = [*zip(self.argument_names(), self.arguments, strict=False), *sorted(self.keywords.items())]
        paths = [path for name, tree in named for path, _ in leaves(tree, name)]
        keys = [path.rpartition(".")[2] for path in paths]
        return [path if key.isdigit() or keys.count(key) > 1 else key for path, key in zip(paths, keys, strict=True)]

    def state_paths(self) -> list[str]:
        """A name for each state tensor: its argument's name and its path inside; an argument `state` adds nothing."""
        arguments = self.argument_names()[len(self.arguments) :]
        paths = [path for name, tree in zip(arguments, self.states, strict=True) for path, _ in leaves(tree, name)]
        return [path.partition(".")[2] if path.startswith(("state.", "states.")) else path for path in paths]


def make_call(model: Any, inputs: Any, states: Any) -> StepCall:
    """Check the arguments of `export` and settle how the model is called.

    `model` is a module, a method of one or a function. Sparse tensors become dense ones. Raises ExportError for
    arguments that are not CPU tensors, or hold something else.
    """
    function, owner = _function_and_owner(model)
    arguments, keywords = split_arguments(function, inputs)
    named = _described(arguments, keywords)
    given_states = _state_arguments(function, len(arguments), states)
    try:
        found = [leaf for tree in given_states for leaf in leaves(tree)]
    except TypeError as error:
        raise ExportError(
            f"The states hold something that is no tensor: {error}; give every state as a tensor."
        ) from error
    named += [(f"State {path or number!r}", tensor) for number, (path, tensor) in enumerate(found)]
    for what, tensor in named:
        if tensor.device.type != "cpu":
            raise ExportError(
                f"{what} lies on {tensor.device}; export runs on the CPU: call .cpu() on it and on the model."
            )
    notes = tuple(
        f"{what} was made dense: a step carries plain tensors, so give dense ones to the graph, too."
        for what, tensor in named
        if tensor.layout != torch.strided
    )
    trees = (arguments, keywords, given_states)
    arguments, keywords, given_states = rebuild(trees, [plain(tensor) for _, tensor in leaves(trees)])
    return StepCall(function, owner, arguments, given_states, keywords, notes)


def split_arguments(function: StepFunction, inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Inputs as positional arguments and keywords of `function`.

    A dict whose keys are names of arguments gives those; any other dict is one argument. Raises ExportError for what
    is neither a tensor nor a container of tensors.
    """
    if isinstance(inputs, dict):
        names = [item.name for item in _positional(function)]
        if inputs and all(key in _keywords(function) for key in inputs):
            first = list(takewhile(inputs.__contains__, names))
            return tuple(inputs[name] for name in first), {key: inputs[key] for key in inputs if key not in first}
        return (inputs,), {}
    if isinstance(inputs, Tensor):
        return (inputs,), {}
    if not isinstance(inputs, (tuple, list)):
        raise ExportError(
            f"The inputs are a {type(inputs).__name__}; give example inputs as a tuple of tensors, or a dict of them."
        )
    return tuple(inputs), {}


def flat_inputs(function: StepFunction, inputs: Any) -> tuple[Tensor, ...]:
    """The tensors in the inputs of one tick, in the order of `StepCall.inputs`."""
    return tuple(tensor for _, tensor in _described(*split_arguments(function, inputs)))


def plain(tensor: Tensor) -> Tensor:
    """A dense copy of a tensor, apart from what it was computed from."""
    tensor = tensor.detach()
    return tensor.clone() if tensor.layout == torch.strided else tensor.to_dense()


def _described(arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> list[Leaf]:
    """The tensors in the inputs, each with what messages call it."""
    places: list[tuple[int | str, Any]] = [*enumerate(arguments), *sorted(keywords.items())]
    return [leaf for key, tree in places for leaf in _input_leaves(key, tree)]


def _input_leaves(key: int | str, tree: Any) -> list[Leaf]:
    """The tensors in one argument, each with what messages call it."""
    try:
        return [(f"Input {key}{f' at {path!r}' if path else ''}", tensor) for path, tensor in leaves(tree)]
    except TypeError as error:
        what = str(error).removeprefix("it ")
        link = " " if what.startswith("is ") else " holds what is no tensor: "
        raise ExportError(
            f"Input {key}{link}{what}; give example inputs as a tuple of tensors: a number is one as "
            "torch.tensor(2.0), and left out it keeps its default."
        ) from error


def _keywords(function: StepFunction) -> set[str]:
    """The names by which arguments can be given."""
    return {item.name for item in _parameters(function) if item.kind in (item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY)}


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


def _parameters(function: StepFunction) -> list[inspect.Parameter]:
    """The parameters of a function, or of a module's forward; none if they are not known."""
    target = function.forward if isinstance(function, nn.Module) else function
    try:
        return list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        return []


def _positional(function: StepFunction) -> list[inspect.Parameter]:
    """The parameters that positional arguments can reach."""
    return [item for item in _parameters(function) if item.kind not in (item.KEYWORD_ONLY, item.VAR_KEYWORD)]
