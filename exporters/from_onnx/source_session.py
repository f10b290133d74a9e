"""Somebody's ONNX graph in ONNX Runtime: what its step is compared with, and how it shows its batch axes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx
import onnxruntime
import torch
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from astroedge.errors import ExportError, UnsupportedOpError
from astroedge.exporters.from_onnx.declared_names import Array
from astroedge.exporters.parity.compare import parity_inputs
from astroedge.exporters.parity.firing_rates import Tick, open_session, run_session
from astroedge.exporters.shared.batch_axes import find_batch_axes
from astroedge.step.spec import NEXT_PREFIX, StepSpec


@dataclass(frozen=True)
class ForeignGraph:
    """The original graph: `states` pairs an input with the output that feeds it, `held` are inputs held constant."""

    session: onnxruntime.InferenceSession
    states: Mapping[str, str]
    held: Mapping[str, Array]

    def tick(self, inputs: Tick, carried: Mapping[str, Array]) -> Tick:
        """All outputs of one tick by name."""
        return run_session(self.session, {**inputs, **self.held, **carried})

    def run(
        self, spec: StepSpec, first: Mapping[str, Array], ticks: Sequence[Tick], count: int
    ) -> Iterator[tuple[Tick, Tick]]:
        """Step `count` ticks from the values `first`: the inputs, then outputs and next states, tick by tick.

        Raises ExportError for an output that has not the size that the graph declares.
        """
        carried = dict(first)
        for inputs in parity_inputs(spec, ticks, count):
            results = self.tick(inputs, carried)
            _check_sizes(spec, results)
            carried = {name: results[output] for name, output in self.states.items()}
            wanted = {item.name: results[item.name] for item in spec.outputs}
            yield inputs, wanted | {f"{NEXT_PREFIX}{name}": value for name, value in carried.items()}

    def batch_axes(self, inputs: Tick, first: Mapping[str, Array]) -> dict[str, int | None]:
        """The batch axis of each state, found by running more streams where the graph leaves sizes open; else None."""

        def following(data: Sequence[torch.Tensor], carried: Sequence[torch.Tensor]) -> list[torch.Tensor]:
            arrays = [tensor.numpy() for tensor in (*data, *carried)]
            results = self.tick(
                dict(zip(inputs, arrays, strict=False)), dict(zip(first, arrays[len(inputs) :], strict=True))
            )
            return [torch.from_numpy(results[self.states[name]]) for name in first]

        tensors = ([torch.from_numpy(array.copy()) for array in arrays.values()] for arrays in (inputs, first))
        return dict(zip(first, find_batch_axes(following, *tensors), strict=True))


def _check_sizes(spec: StepSpec, results: Tick) -> None:
    for item in spec.outputs:
        if results[item.name].shape != item.shape:
            raise ExportError(
                f"Output {item.name!r} is {list(results[item.name].shape)}, and the graph declares {list(item.shape)}, "
                "in it or in an inner value before it; write the graph again with its own exporter."
            )


def open_foreign(model: onnx.ModelProto, states: Mapping[str, str], held: Mapping[str, Array]) -> ForeignGraph:
    """The graph in ONNX Runtime. Raises UnsupportedOpError when that does not run it."""
    try:
        return ForeignGraph(open_session(model), states, held)
    except (failures.InvalidGraph, failures.Fail, failures.RuntimeException) as error:
        reason = " ".join(str(error).split())[:200]
        raise UnsupportedOpError(
            f"ONNX Runtime does not run the graph ({reason}), so its step can be compared with nothing; write it with "
            "operators that ONNX Runtime has."
        ) from error
