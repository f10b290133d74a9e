"""A profile with something in every field, not measured."""

from __future__ import annotations

from astroedge.kernel_profile import Instrumented, KernelTime, KernelTimes
from astroedge.profile_parts import Energy, Host, Moment, NativeTiming, Paced, PacedPeer, Repeat
from astroedge.step_profile import (
    Comparison,
    MatrixOperations,
    Profile,
    Reading,
    SpikeRaster,
    SpikeRate,
    SynapticOperations,
    Timing,
)


def make_profile() -> Profile:
    """Four steps, paced beside another runtime, with energy and a warning."""
    samples = (900, 1100, 1000, 5000)
    steps, wakes = Timing.of((70_000, 80_000)), Timing.of((50_000, 60_000))
    return Profile(
        model="net",
        target="native",
        precision="float32",
        graph_sha256="0" * 64,
        inputs="drawn from seed 1",
        warmup=10,
        threads=2,
        machine={"cpu": "Cortex-A72, r0p3"},
        step=Timing.of(samples),
        readings=(
            Reading("load", 1.5e6, "ns", "measured", "file cache as found"),
            Reading.unavailable("energy", "J", "no counters"),
        ),
        spikes=(SpikeRate("z", 12, 0.1, 0.2),),
        operations=SynapticOperations(
            1 / 3, 20.0, 100, "estimated", (MatrixOperations("W", "AC", 1 / 3, 100, "estimated", "zeros"),)
        ),
        comparison=Comparison("ONNX Runtime", "1.0", 3, 1050.0, 4200.0, 4.0, 3.5, 4.5),
        samples=samples,
        native=NativeTiming(800.0, 790.0, 810.0),
        repeats=(Repeat(1000.0, 2000.0, 790.0), Repeat(1100.0, 2000.0, 810.0)),
        paced=Paced(100.0, 1e7, 0.02, steps, wakes, 1, PacedPeer("ONNX Runtime", "1.0", steps, wakes, 0)),
        timeline=(Moment(0.5, 1000.0, 5000.0, 1.8e9, 61.5, False, 0.25), Moment(1.0, 1000.0, 1100.0, *[None] * 4)),
        energy=Energy(2.5e-6, 1e-7, 2.0, 4.5, 10.0, "INA3221, VDD_IN: the whole board", "measured", 10_000_000),
        host=Host("pi", "2026-01-01T00:00:00+00:00", "Linux 6.1 aarch64", "3.11.2", "2.0", "0.1", "ondemand", 0.5),
        digests=dict.fromkeys(("bundle", "library", "weights", "manifest"), "0" * 64),
        kernels=KernelTimes(
            Instrumented(1200.0, 1000.0, 1.2, 1000.0, 200.0),
            (KernelTime("k0", "layers.0", "matmul", "event", 1, 1000.0, 1.0, 512.0, 12, 1.2, 5e8, 900.0),),
        ),
        warnings=("The machine runs on its battery.",),
        raster=(SpikeRaster("z", 3, (0, 5), ((0, 1), (2, 0)), (4, 0, 2), "output z"),),
    )
