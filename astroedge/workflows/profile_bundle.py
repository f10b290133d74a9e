"""Profile a bundle from its files, alone and beside ONNX Runtime."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from astroedge.bundle.container import Bundle
from astroedge.runtimes import load
from astroedge.runtimes.profiling.profiler import profile
from astroedge.workflows.inputs.array_files import read_arrays

if TYPE_CHECKING:
    from astroedge.step_profile import Profile


def profile_bundle(
    path: str | os.PathLike[str],
    *,
    steps: int | None = None,
    inputs: str | os.PathLike[str] | None = None,
    compare: str | os.PathLike[str] | None = None,
    keep_samples: bool = False,
    threads: int | None = None,
    device: int | None = None,
    kernels: bool = False,
) -> Profile:
    """Profile the bundle in a folder on inputs from a file (see `array_files`), on drawn ones when None.

    `threads` and `device` are as in `astroedge.load`, `kernels` as in `astroedge.profile`. `compare` is the path of the
    graph it was compiled from: then ONNX Runtime is measured beside it, after everything else, so that the memory it
    needs is not counted as the bundle's.

    Raises what `astroedge.profile` raises, GraphError for a graph that cannot be read, OSError for a file.
    """
    data = None if inputs is None else read_arrays(inputs, Bundle.load(path).manifest.step.inputs)
    alone = profile(
        path, steps=steps, inputs=data, keep_samples=keep_samples, threads=threads, device=device, kernels=kernels
    )
    if compare is None:
        return alone
    from astroedge.step.graph import StepGraph

    with load(path, threads=threads, device=device) as session:
        beside = profile(session, steps=steps, inputs=data, compare=StepGraph.load(compare))
    return replace(alone, comparison=beside.comparison)
