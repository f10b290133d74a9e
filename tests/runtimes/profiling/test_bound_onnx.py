"""The fast form of the reference computes what the reference computes."""

from __future__ import annotations

import numpy as np
import pytest

from astroedge.runtimes.checking.reference import ReferenceSession
from astroedge.runtimes.profiling.bound_onnx import BoundReference
from tests.support.graphs import ALL, random_inputs


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_bound_buffers_give_the_same_bits(make: type) -> None:
    """Over 60 ticks, shared memory and swapped state buffers give the outputs of plain runs, bit for bit."""
    graph = make()
    bound, plain = BoundReference(graph), ReferenceSession(graph)
    data = random_inputs(graph, 60)
    for tick in range(60):
        now = {name: array[tick] for name, array in data.items()}
        for name, value in now.items():
            bound.inputs[name][...] = value
        bound.tick()
        outputs = plain.step(**now)
        assert all(np.array_equal(bound.outputs[name], value) for name, value in outputs.items())
