"""Profile a bundle from its files, alone and beside ONNX Runtime."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from astroedge.bundle.container import Bundle
from astroedge.measuring import Measuring
from astroedge.runtimes import load
from astroedge.runtimes.profiling.profiler import add_comparison, profile
from astroedge.workflows.inputs.array_files import read_arrays
from astroedge.workflows.inputs.fit_arrays import Fit

if TYPE_CHECKING:
    from astroedge.step_profile import Profile


def profile_bundle(
    path: str | os.PathLike[str],
    wanted: Measuring,
    *,
    inputs: str | os.PathLike[str] | None = None,
    compare: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    device: int | None = None,
    fit: Fit | None = None,
    kernels: bool = False,
) -> Profile:
    """Profile the bundle in a folder on inputs from a file (see `array_files`), on drawn ones when None.

    `fit` says how the file's arrays are made to fit. `threads` and `device` are as in `astroedge.load`, `kernels` as in
    `astroedge.profile`. `compare` is the path of the graph it was compiled from: then ONNX Runtime is measured beside
    it, after everything else, so that the memory it needs is not counted as the bundle's.

    Raises what `astroedge.profile` raises, GraphError for a graph that cannot be read, OSError for a file.
    """
    data = None if inputs is None else read_arrays(inputs, Bundle.load(path).manifest.step.inputs, fit)
    # Beside ONNX Runtime the paced ticks are those that take turns with its own.
    own = wanted if compare is None else replace(wanted, rate=None)
    alone = profile(path, inputs=data, threads=threads, device=device, kernels=kernels, **asdict(own))
    if compare is None:
        return alone
    from astroedge.step.graph import StepGraph

    with load(path, threads=threads, device=device) as session:
        return add_comparison(alone, session, StepGraph.load(compare), wanted, data)
