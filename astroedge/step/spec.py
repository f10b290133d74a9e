"""What a step takes, gives and carries over: names, shapes, dtypes and initial values.

A `StepSpec` is the contract of one tick, written into the step graph's metadata and into the bundle's manifest. It
needs nothing but the standard library and NumPy, so the device reads the same description the exporter wrote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from astroedge.abi.layout import DTYPES
from astroedge.errors import GraphError
from astroedge.parity import USUAL, Allowance

if TYPE_CHECKING:
    from typing_extensions import Self

SPEC_VERSION = 1
STATE_PREFIX = "state."
NEXT_PREFIX = "next."
INITIAL_PREFIX = "initial."


@dataclass(frozen=True)
class TensorSpec:
    """One named array of a step.

    `shape` is the full shape, batch included. `index_range` is `(low, high)` with `high` exclusive for an integer input
    that selects rows, such as a token, and None elsewhere. All of the following are measured by export on the example
    data of an input and are None elsewhere: `span` is the largest finite absolute value of a float input; `value_range`
    is `(lowest, highest + 1)` of any other integer input that was not 0 or 1 throughout; `firing_rate` is the fraction
    of elements that are not zero, set when every element was 0 or 1 or more than half of them were 0 (or declared by
    the caller of export), which makes the input one that matrices read by its active elements; `values` are pairs of a
    number and the share of the elements that had it, of data that is not 0 or 1 and had few numbers or was mostly 0 (of
    many numbers some stand for those beside them).
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    index_range: tuple[int, int] | None = None
    span: float | None = None
    firing_rate: float | None = None
    value_range: tuple[int, int] | None = None
    values: tuple[tuple[float, float], ...] | None = None

    def __post_init__(self) -> None:
        """Refuse dtypes and shapes that no buffer can hold."""
        if self.dtype not in DTYPES:
            raise GraphError(f"{self.name!r} has dtype {self.dtype}; a step carries only {', '.join(DTYPES)}.")
        if any(extent < 1 for extent in self.shape):
            raise GraphError(
                f"{self.name!r} has shape {self.shape}; every extent of a step must be fixed and positive."
            )

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the dense array."""
        return self.size * np.dtype(self.dtype).itemsize

    def to_json(self) -> dict[str, Any]:
        """The JSON form; `from_json` reads it back unchanged."""
        record: dict[str, Any] = {"name": self.name, "shape": list(self.shape), "dtype": self.dtype}
        if self.index_range is not None:
            record["index_range"] = list(self.index_range)
        if self.span is not None:
            record["span"] = float(self.span).hex()
        if self.firing_rate is not None:
            record["firing_rate"] = self.firing_rate
        if self.value_range is not None:
            record["value_range"] = list(self.value_range)
        if self.values is not None:
            record["values"] = [[float(value).hex(), share] for value, share in self.values]
        return record

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> TensorSpec:
        """Read what `to_json` wrote."""
        span, values = record.get("span"), record.get("values")
        return TensorSpec(
            name=record["name"],
            shape=tuple(record["shape"]),
            dtype=record["dtype"],
            index_range=_read_range(record.get("index_range")),
            span=None if span is None else float.fromhex(span),
            firing_rate=record.get("firing_rate"),
            value_range=_read_range(record.get("value_range")),
            values=None if values is None else tuple((float.fromhex(value), share) for value, share in values),
        )


def _read_range(record: Sequence[int] | None) -> tuple[int, int] | None:
    return None if record is None else (int(record[0]), int(record[1]))


@dataclass(frozen=True)
class StateSpec:
    """One array that carries over: `state.<name>` goes in, `next.<name>` comes out, both of this shape and dtype.

    `batch_axis` is the axis that counts independent streams, None when the state is shared or unknown. `initial` is the
    value every element has before the first tick, or None when the graph stores a tensor `initial.<name>` instead.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    batch_axis: int | None = 0
    initial: float | None = 0.0

    def __post_init__(self) -> None:
        """Check dtype and shape as for any tensor."""
        TensorSpec(self.name, self.shape, self.dtype)

    @property
    def input_name(self) -> str:
        """Name of the graph input that takes the state."""
        return STATE_PREFIX + self.name

    @property
    def output_name(self) -> str:
        """Name of the graph output that gives the next state."""
        return NEXT_PREFIX + self.name

    @property
    def initial_name(self) -> str:
        """Name of the initialiser that holds the initial value when it is not one number."""
        return INITIAL_PREFIX + self.name

    @property
    def nbytes(self) -> int:
        """Bytes of the dense array."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    def to_json(self) -> dict[str, Any]:
        """The JSON form; a fill is a hexadecimal float, because JSON has no infinity."""
        return {
            "name": self.name,
            "input": self.input_name,
            "output": self.output_name,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "batch_axis": self.batch_axis,
            "initial": {"tensor": self.initial_name} if self.initial is None else {"fill": float(self.initial).hex()},
        }

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> StateSpec:
        """Read what `to_json` wrote.

        Raises GraphError when the record names other graph values than the state's own.
        """
        initial = record["initial"]
        state = StateSpec(
            name=record["name"],
            shape=tuple(record["shape"]),
            dtype=record["dtype"],
            batch_axis=record["batch_axis"],
            initial=float.fromhex(initial["fill"]) if "fill" in initial else None,
        )
        named = (record["input"], record["output"], initial.get("tensor", state.initial_name))
        if named != (state.input_name, state.output_name, state.initial_name):
            raise GraphError(
                f"State {state.name!r} is tied to {', '.join(map(repr, named))} instead of its own values; the step "
                "description was edited: export the model again."
            )
        return state


@dataclass(frozen=True)
class SparseSpec:
    """A tensor inside the graph that is mostly zero.

    `name` is readable and unique in the step, `tensor` the ONNX value it names, and `firing_rate` the fraction of
    elements that were not zero on the example data.
    """

    name: str
    tensor: str
    shape: tuple[int, ...]
    firing_rate: float

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {"name": self.name, "tensor": self.tensor, "shape": list(self.shape), "firing_rate": self.firing_rate}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(record["name"], record["tensor"], tuple(record["shape"]), record["firing_rate"])


@dataclass(frozen=True)
class SpikeSpec(SparseSpec):
    """A tensor whose elements are 0 or 1: what neurons fire.

    `tensor` is the Boolean that is true where a neuron fires, before its cast to numbers, made by a comparison or by
    logic on comparisons (above threshold and not refractory).
    """


@dataclass(frozen=True)
class ActivationSpec(SparseSpec):
    """A graded tensor that a rectifier makes, mostly zero on the example data."""


@dataclass(frozen=True)
class StepSpec:
    """The whole contract of one tick.

    `source` tells where the step came from, for example `{"framework": "torch", "version": "2.13.0"}`; `allowance` how
    it was compared with that.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    states: tuple[StateSpec, ...]
    spikes: tuple[SpikeSpec, ...] = ()
    source: Mapping[str, str] = field(default_factory=dict)
    activations: tuple[ActivationSpec, ...] = ()
    allowance: Allowance = USUAL

    def __post_init__(self) -> None:
        """Refuse names that stand for two things."""
        for kind, items in (("input", self.inputs), ("output", self.outputs), ("state", self.states)):
            names = [item.name for item in items]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise GraphError(f"Two {kind}s are called {twice[0]!r}; names must be unique within a step.")

    def to_json(self) -> dict[str, Any]:
        """The JSON form, versioned."""
        record: dict[str, Any] = {
            "version": SPEC_VERSION,
            "inputs": [item.to_json() for item in self.inputs],
            "outputs": [item.to_json() for item in self.outputs],
            "states": [item.to_json() for item in self.states],
            "spikes": [item.to_json() for item in self.spikes],
            "source": dict(self.source),
        }
        if self.activations:
            record["activations"] = [item.to_json() for item in self.activations]
        if self.allowance != USUAL:
            record["allowance"] = self.allowance.to_json()
        return record

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> StepSpec:
        """Read what `to_json` wrote.

        Raises GraphError for an unknown version or a record that is not a step description.
        """
        version = record.get("version") if isinstance(record, Mapping) else None
        if version != SPEC_VERSION:
            raise GraphError(
                f"The step description has version {version!r}, this AstroEdge reads version {SPEC_VERSION}; "
                "it was probably written by another release: export the model again."
            )
        try:
            return StepSpec(
                inputs=tuple(TensorSpec.from_json(item) for item in record["inputs"]),
                outputs=tuple(TensorSpec.from_json(item) for item in record["outputs"]),
                states=tuple(StateSpec.from_json(item) for item in record["states"]),
                spikes=tuple(SpikeSpec.from_json(item) for item in record["spikes"]),
                activations=tuple(ActivationSpec.from_json(item) for item in record.get("activations", ())),
                source=dict(record["source"]),
                allowance=Allowance.from_json(record["allowance"]) if "allowance" in record else USUAL,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise GraphError(f"The step description is damaged ({error!r}); export the model again.") from error
