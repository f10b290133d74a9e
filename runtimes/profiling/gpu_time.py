"""What a step takes on a GPU: memory there, time by the GPU's own clock, and the rest of a call, which is launching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.step_profile import Reading

TIMED_STEPS = 200


def read_gpu(session: CompiledSession, ticks: Sequence[Mapping[str, Any]], samples: Sequence[int]) -> list[Reading]:
    """The readings of a session on a GPU; none for one on a processor.

    `ticks` are arguments of steps, some of which are made once more; `samples` the times of steps in nanoseconds as the
    caller saw them.
    """
    gpu = session.gpu
    if gpu is None:
        return []
    names = [item.name for item in session.spec.inputs]
    times = [session.time_on_gpu(**{name: tick[name] for name in names}) * 1e9 for tick in ticks[:TIMED_STEPS]]
    computing = median(times)
    read = weights_read(session)
    where = f"{gpu.name}, compute capability {gpu.capability}, driver for CUDA {gpu.driver}, {gpu.blocks} blocks"
    return [
        Reading("device memory", float(gpu.memory), "bytes", "measured", f"weights and buffers on {where}"),
        Reading("device time", computing, "ns", "measured", f"a launch by its events, median of {len(times)} steps"),
        Reading("launch overhead", median(samples) - computing, "ns", "measured", "median step less device time"),
        Reading(
            "weight bandwidth", read / computing, "GB/s", "estimated", f"{read:,.0f} bytes a step in the device time"
        ),
    ]


def describe_gpu(session: CompiledSession) -> dict[str, str]:
    """Number and name, compute capability and driver of the GPU a session is on, as text; nothing on a processor."""
    gpu = session.gpu
    if gpu is None:
        return {}
    return {
        "gpu": f"GPU {gpu.ordinal}, {gpu.name}",
        "gpu capability": gpu.capability,
        "gpu driver": f"CUDA {gpu.driver}",
    }


def weights_read(session: CompiledSession) -> float:
    """About how many bytes of matrices the steps since the reset have read in one, on average.

    Of a matrix that is read by its active inputs only their rows, by the firing rates counted; of any other all.
    """
    counts, total = session.activity(), 0.0
    for matrix in session.manifest.matrices:
        count = counts.get(matrix.spikes or "")
        total += matrix.nbytes * (count.firing_rate if count is not None and matrix.kernel == "event" else 1.0)
    return total
