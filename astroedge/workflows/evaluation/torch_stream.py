"""A PyTorch model stepped tick by tick as its user would, for comparing it with what was compiled from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import numpy as np
import torch

from astroedge.exporters.step_call.blame import blame_model
from astroedge.exporters.step_call.signature import make_call
from astroedge.exporters.wrapping.check_model import check_model
from astroedge.session import Array
from astroedge.step.spec import StepSpec
from astroedge.workflows.inputs.model_source import ModelSource


class TorchStream:
    """A model with explicit or hidden state. Of what it returns only the first tensor is kept."""

    def __init__(self, source: ModelSource, spec: StepSpec) -> None:
        """Keep `source` as the model before its first tick; its arguments are the inputs of `spec` in their order."""
        self.spec = spec
        self._source = source
        self.reset()

    def reset(self) -> None:
        """Go back to before the first tick: to a fresh copy of the model, with what it hides."""
        with blame_model("Copying the model, which starts every sequence afresh,"):
            model = deepcopy(self._source.model)
        inputs = tuple(torch.zeros(item.shape, dtype=getattr(torch, item.dtype)) for item in self.spec.inputs)
        nested = self._source.inputs if isinstance(self._source.inputs, (dict, tuple, list)) else inputs
        self._call = make_call(model, nested, self._source.states)
        check_model(self._call.model)
        self._states = self._call.state_leaves

    def run(self, /, **inputs: Array) -> dict[str, Array]:
        """Ticks one by one, on one thread: `(T, …)` by name in, the first output `(T, …)` out.

        Raises ExportError when the model fails.
        """
        collected = []
        for tick in range(len(next(iter(inputs.values())))):
            given = [torch.from_numpy(np.array(inputs[item.name][tick])) for item in self.spec.inputs]
            with torch.no_grad(), _one_thread(), blame_model(self._call.label):
                outputs, self._states = self._call(given, [tensor.clone() for tensor in self._states])
            collected.append(outputs[0][1].detach().numpy().copy())
        return {self.spec.outputs[0].name: np.stack(collected)}


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep PyTorch from dividing a tick among threads, which costs more than so small an operation gains."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
