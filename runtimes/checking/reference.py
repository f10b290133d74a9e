"""The reference: a step graph in ONNX Runtime on the host, what every compiled step is compared with.

One thread, deterministic kernels and inputs at aligned addresses (ONNX Runtime adds in another order where they are
not), so that the same inputs give the same bits on the same machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astroedge.abi.aligned import aligned_zeros
from astroedge.abi.layout import DTYPES
from astroedge.errors import GraphError, InputError, UndefinedTickError
from astroedge.session import Array, InputValue
from astroedge.step.spec import StepSpec

if TYPE_CHECKING:
    import onnx

    from astroedge.step.graph import StepGraph

# What ONNX Runtime calls the dtypes of a step.
ONNX_NAMES = {"float32": "float", "float64": "double"}  # where they differ from NumPy's
ONNX_DTYPES = {f"tensor({ONNX_NAMES.get(name, name)})": name for name in DTYPES}


def runtime_session(model: onnx.ModelProto, threads: int = 1, *, repack: bool = False) -> Any:
    """An ONNX Runtime session of `model` on the CPU with `threads` threads as `open_session` opens it.

    Raises GraphError when ONNX Runtime refuses the model.
    """
    from astroedge.step.onnx_session import open_session

    try:
        return open_session(model, threads=threads, deterministic=True, repack=repack)
    except Exception as error:  # its exceptions share no public base class
        raise GraphError(f"ONNX Runtime refuses the step graph: {str(error).splitlines()[0]}") from error


def run_defined(runtime: Any, names: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
    """One run of an ONNX Runtime session.

    Raises UndefinedTickError where a kernel refuses its operands.
    """
    try:
        values: list[Array] = runtime.run(names, feeds)
    except Exception as error:  # its exceptions share no public base class
        reason = str(error).splitlines()[0].rpartition("Status Message: ")[2]
        raise UndefinedTickError(
            f"ONNX Runtime cannot compute the step on these inputs ({reason}): usually an integer is divided by zero "
            "or an index lies outside its table; give data that the model is made for, to export as examples too."
        ) from error
    return values


class AlignedFeeds:
    """One array at an aligned address for every input of an ONNX Runtime session, used again at every tick."""

    def __init__(self, runtime: Any) -> None:
        """Allocate for the inputs of `runtime`, whose shapes are fixed."""
        self.arrays = {item.name: aligned_array(item.shape, ONNX_DTYPES[item.type]) for item in runtime.get_inputs()}

    def fill(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """Copy `values`, one for each input, and return the arrays."""
        for name, value in values.items():
            self.arrays[name][...] = value
        return self.arrays


def aligned_array(shape: Sequence[int], dtype: str) -> Array:
    """An array of zeros that starts at a multiple of 64 bytes."""
    size = prod(shape) * np.dtype(dtype).itemsize
    return aligned_zeros(size).view(dtype).reshape(tuple(shape))


class ReferenceSession:
    """A step graph as a session: the same `spec`, `step`, `run`, `reset` and `states` as a compiled one.

    `states` are the arrays before the next tick, by name; writing into them changes the stream.
    """

    def __init__(self, graph: StepGraph) -> None:
        """Start a stream of `graph` at its initial state."""
        self.spec: StepSpec = graph.spec
        self._graph = graph
        self._runtime = runtime_session(graph.model)
        self._feeds = AlignedFeeds(self._runtime)
        self._outputs = [item.name for item in self.spec.outputs]
        self._names = [*self._outputs, *(state.output_name for state in self.spec.states)]
        self.reset()

    def reset(self) -> None:
        """Go back to the state before the first tick."""
        self.states: dict[str, Array] = self._graph.initial_state()

    def step(self, /, **inputs: InputValue) -> dict[str, Array]:
        """One tick: an array for each input, of its shape and dtype → an array for each output.

        A Python number is taken for an input of one element. Raises InputError, with the state unchanged, for a wrong
        name, shape or dtype, and where the graph is not defined for the numbers.
        """
        accepted = check_inputs(self.spec, inputs)
        accepted.update((state.input_name, self.states[state.name]) for state in self.spec.states)
        values = run_defined(self._runtime, self._names, self._feeds.fill(accepted))
        count = len(self._outputs)
        self.states = dict(zip((state.name for state in self.spec.states), values[count:], strict=True))
        return dict(zip(self._outputs, values[:count], strict=True))

    def run(self, /, **inputs: Array) -> dict[str, Array]:
        """As many ticks as the inputs' leading axis has: arrays `(T, …)` for each input → `(T, …)` for each output.

        Raises InputError as `step` does, and when there are no ticks or not as many for each input.
        """
        steps = sequence_length(inputs)
        ticks = [self.step(**{name: value[tick] for name, value in inputs.items()}) for tick in range(steps)]
        return {name: np.stack([tick[name] for tick in ticks]) for name in self._outputs}


@dataclass(frozen=True)
class Observation:
    """What the reference did in one tick, under dictated spikes or free.

    `outputs` and `states` (the next ones) by name; `fired` Boolean by spike tensor; `margins` float32 by spike tensor
    made by a comparison of floats; `scales` float32, the largest operands, by spike tensor and by graph output
    (`next.<name>` for states).
    """

    outputs: dict[str, Array]
    states: dict[str, Array]
    fired: dict[str, NDArray[np.bool_]]
    margins: dict[str, NDArray[np.float32]]
    scales: dict[str, NDArray[np.float32]]


class ObservedReference:
    """A step graph in ONNX Runtime that shows spikes, margins and largest operands, and obeys dictated spikes.

    It holds no state: a tick is a function of inputs and states. See `astroedge.runtimes.checking.instrument`.
    """

    def __init__(self, graph: StepGraph) -> None:
        """Instrument a copy of `graph`."""
        self.graph = graph
        from astroedge.runtimes.checking.instrument import observe

        self.spec: StepSpec = graph.spec
        self.initial_state = graph.initial_state
        self.observed = observe(graph)
        self._runtime = runtime_session(self.observed.model)
        self._names = [item.name for item in self._runtime.get_outputs()]
        self._feeds = AlignedFeeds(self._runtime)

    def tick(
        self, inputs: Mapping[str, InputValue], states: Mapping[str, Array], spikes: Mapping[str, Array] | None = None
    ) -> Observation:
        """One tick from `states`; the neurons below see `spikes`, by spike tensor, or, when None, the reference's own.

        Raises InputError for a wrong input name, shape or dtype, UndefinedTickError where ONNX Runtime cannot compute.
        """
        feeds = self.aligned_feeds(inputs, states, spikes)
        values = dict(zip(self._names, run_defined(self._runtime, self._names, feeds), strict=True))
        observed = self.observed
        return Observation(
            outputs={item.name: values[item.name] for item in self.spec.outputs},
            states={state.name: values[state.output_name] for state in self.spec.states},
            fired={name: values[output] for name, output in observed.fired.items()},
            margins={name: values[output] for name, output in observed.margins.items()},
            scales={name: values[output] for name, output in observed.scales.items()},
        )

    def aligned_feeds(
        self, inputs: Mapping[str, InputValue], states: Mapping[str, Array], spikes: Mapping[str, Array] | None
    ) -> dict[str, Array]:
        """What the observed graph takes for a tick, by the names of its inputs; the same arrays for every tick.

        Raises InputError for a wrong input name, shape or dtype.
        """
        from astroedge.runtimes.checking.instrument import FREE

        feeds = check_inputs(self.spec, inputs)
        feeds.update((state.input_name, states[state.name]) for state in self.spec.states)
        feeds[FREE] = np.asarray(spikes is None)
        for name, target in self.observed.dictated.items():
            feeds[target] = np.asarray(False) if spikes is None else spikes[name]
        return self._feeds.fill(feeds)


def check_inputs(spec: StepSpec, inputs: Mapping[str, InputValue]) -> dict[str, Array]:
    """The inputs of one tick as arrays of the spec's shapes and dtypes.

    Raises InputError for a wrong name, shape or dtype.
    """
    names = [item.name for item in spec.inputs]
    if set(inputs) != set(names):
        raise InputError(f"The step takes the inputs {', '.join(names)}; it was given {', '.join(inputs) or 'none'}.")
    return {item.name: _check_input(item.name, item.shape, item.dtype, inputs[item.name]) for item in spec.inputs}


def _check_input(name: str, shape: tuple[int, ...], dtype: str, value: InputValue) -> Array:
    given = np.asarray(value)
    is_number = isinstance(value, bool | int | float | list | tuple)
    array = given.astype(dtype).reshape(shape) if is_number and given.size == prod(shape) else given
    if array.shape != shape or array.dtype != dtype:
        raise InputError(f"Input {name!r} takes {dtype}{list(shape)}; it was given {array.dtype}{list(array.shape)}.")
    return array


def sequence_length(inputs: Mapping[str, Array]) -> int:
    """The number of ticks in inputs with a leading time axis.

    Raises InputError when they disagree or there is none.
    """
    lengths = {array.shape[0] if array.ndim else 0 for array in inputs.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise InputError(f"Inputs need one number of ticks as their leading axis; their lengths are {sorted(lengths)}.")
    return lengths.pop()
