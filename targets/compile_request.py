"""What a compilation is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from astroedge.step.graph import StepGraph
from astroedge.targets.boards.board_file import Target
from astroedge.targets.precision.quantise_weights import StoredWeights


@dataclass(frozen=True)
class CompileRequest:
    """A step graph, the processor it is compiled for, and how.

    `math` is "exact" or "fast", `kernels` "auto", "event" or "dense"; with `probes` every spike tensor and its margin
    is an output. `weights` has the stored form of the weights that are not to be stored in float32.
    """

    graph: StepGraph
    target: Target
    math: str
    kernels: str
    probes: bool
    weights: StoredWeights
