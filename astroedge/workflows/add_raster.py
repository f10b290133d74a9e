"""A raster for a profile: the bundle is stepped once more, and what fires is noted."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from astroedge.runtimes import load
from astroedge.runtimes.profiling.raster import profile_raster
from astroedge.workflows.inputs.array_files import read_arrays
from astroedge.workflows.inputs.fit_arrays import Fit

if TYPE_CHECKING:
    from astroedge.step_profile import Profile


def add_raster(
    profile: Profile,
    path: str | os.PathLike[str],
    *,
    inputs: str | os.PathLike[str] | None = None,
    compare: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    device: int | None = None,
    fit: Fit | None = None,
) -> Profile:
    """The profile with a raster of at most 300 ticks of the inputs it was measured on.

    The arguments are those that `profile_bundle` had. The graph at `compare` is asked in ONNX Runtime for spikes that
    the bundle does not show. Raises what loading and stepping the bundle raise, GraphError and OSError for a file.
    """
    graph = None
    if compare is not None:
        from astroedge.step.graph import StepGraph

        graph = StepGraph.load(compare)
    with load(path, threads=threads, device=device) as session:
        data = None if inputs is None else read_arrays(inputs, session.manifest.step.inputs, fit)
        return replace(profile, raster=profile_raster(session, data, graph))
