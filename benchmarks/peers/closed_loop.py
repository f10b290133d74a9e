"""What a network's convolutions are fed in a free run: what static quantisations are calibrated on."""

from __future__ import annotations

from collections.abc import Iterator

from astroedge.runtimes.checking.reference import ReferenceSession
from benchmarks.peers.work import Array, Work

CALIBRATION_TICKS = 100


def closed_loop_feeds(work: Work) -> Iterator[dict[str, Array]]:
    """The inputs of the step graph, state included, in each tick of a free run in float32 on the example inputs."""
    reference = ReferenceSession(work.graph)
    for tick in range(min(CALIBRATION_TICKS, *(len(values) for values in work.examples.values()))):
        inputs = {name: values[tick] for name, values in work.examples.items()}
        yield {**inputs, **{state.input_name: reference.states[state.name] for state in work.spec.states}}
        reference.step(**inputs)
