"""The bundle and ONNX Runtime in turns on the same ticks and as many threads: in a loop, and at due times."""

from __future__ import annotations

from array import array
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, Any

from astroedge.measuring import Measuring
from astroedge.profile_parts import Paced
from astroedge.runtimes.checking.verify import refuse_other_graph
from astroedge.runtimes.profiling.paced import Peer, pace
from astroedge.runtimes.profiling.ticks import Ticks
from astroedge.runtimes.profiling.time_steps import ROUNDS, split, time_calls
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.step_profile import Comparison

if TYPE_CHECKING:
    from astroedge.step.graph import StepGraph

MOST_STEPS = 100_000  # of each in a comparison
TRIED = 3


def compare_in_turns(
    session: CompiledSession, graph: StepGraph, ticks: Ticks, wanted: Measuring
) -> tuple[Comparison, Paced | None]:
    """Time the bundle and ONNX Runtime round by round; and paced, where a rate is asked for.

    Raises VerificationError when the bundle was not compiled from `graph`. The session's stream is not put back.
    """
    refuse_other_graph(session.manifest, graph)
    import onnxruntime

    from astroedge.runtimes.profiling.bound_onnx import BoundReference

    reference = BoundReference(graph, session.threads)
    inputs, tick = reference.inputs, reference.tick

    def peer_step(**values: Any) -> None:
        for name, buffer in inputs.items():
            buffer[...] = values[name]
        tick()

    comparison = _take_turns(session, peer_step, ticks, wanted, onnxruntime.__version__)
    if wanted.rate is None:
        return comparison, None
    peer = Peer(comparison.runtime, comparison.version, peer_step)
    return comparison, pace(session.step, iter(ticks), wanted.rate, wanted.paced_ticks, peer)


def _take_turns(session: CompiledSession, peer_step: Any, ticks: Ticks, wanted: Measuring, version: str) -> Comparison:
    """Rounds of the same ticks, first by the bundle and then by ONNX Runtime."""
    loop = iter(ticks)
    ours, theirs = array("q"), array("q")
    time_calls(session.step, islice(loop, TRIED), ours)
    time_calls(peer_step, islice(loop, TRIED), theirs)
    steps = wanted.steps
    if wanted.seconds is not None:
        both = median(ours) + median(theirs)
        steps = int(max(ROUNDS, min(MOST_STEPS, wanted.seconds * 1e9 / both)))
    assert steps is not None
    ours, theirs, ratios = array("q"), array("q"), []
    for count in split(steps):
        part = list(islice(loop, count))
        first = len(ours)
        time_calls(session.step, iter(part), ours)
        time_calls(peer_step, iter(part), theirs)
        ratios.append(median(theirs[first:]) / median(ours[first:]))
    middle = (float(median(ours)), float(median(theirs)))
    return Comparison("ONNX Runtime", version, len(ratios), *middle, middle[1] / middle[0], min(ratios), max(ratios))
