"""What only a real GPU shows: its bits at several grid sizes, waits of all blocks, and PTX that its driver compiles.

`make test-gpu` runs this folder; elsewhere it is skipped with the reason.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from astroedge.bundle.container import Bundle
from astroedge.errors import TargetError
from astroedge.runtimes import load
from astroedge.runtimes.checking.golden import trace
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.targets.boards.gpus import find_gpus
from tests.support.networks import NETWORKS, bundle_of, inputs_of

STOPS = (1, 10, 100, 1_000)
GRIDS = (0, 1, 3, 40)  # blocks; 0 is the bundle's own choice
STREAMS = 64
MANY_TICKS = 20_000


def no_gpu() -> str:
    """Why nothing here can run; "" where there is a GPU."""
    try:
        find_gpus()
    except TargetError as error:
        return str(error)
    return ""


pytestmark = [pytest.mark.compiles, pytest.mark.skipif(bool(no_gpu()), reason=no_gpu())]


@cache
def expected(network: str, precision: str) -> list[tuple[int, str, str]]:
    """The hashes of state and outputs on this processor."""
    with load(bundle_of(network, precision=precision)) as session:
        return traced(session)


def traced(session: CompiledSession) -> list[tuple[int, str, str]]:
    """The hashes of a session's run on drawn inputs."""
    return [(item.tick, item.state, item.outputs) for item in trace(session, 7, STOPS)]


@pytest.mark.parametrize("precision", ["float32", "float16", "int8", "int4"])
@pytest.mark.parametrize("network", NETWORKS)
def test_gpu_has_the_bits_of_the_processor(network: str, precision: str) -> None:
    """State and outputs over 1,000 ticks, in machine code made for the chip, whatever the size of the grid."""
    bundle = bundle_of(network, "cuda", precision=precision)
    for blocks in GRIDS if precision == "float32" else (0,):
        with CompiledSession(bundle, blocks=blocks) as session:
            assert traced(session) == expected(network, precision), f"{blocks} blocks"


def test_driver_compiles_the_text_of_an_older_chip() -> None:
    """A bundle without machine code for this chip has the same bits."""
    bundle = bundle_of("gru", "cuda:sm_60")
    with load(bundle) as session:
        assert traced(session) == expected("gru", "float32")


def test_streams_side_by_side_are_those_alone() -> None:
    """Each of many streams has the bits that it has alone on the processor."""
    inputs = inputs_of("adaptive-threshold", 50, STREAMS)
    with load(many_streams()) as session:
        together = session.run(**inputs)
    with load(bundle_of("adaptive-threshold")) as alone:
        for stream in (0, 1, STREAMS - 1):
            alone.reset()
            outputs = alone.run(**{name: values[:, stream : stream + 1] for name, values in inputs.items()})
            for name, values in outputs.items():
                np.testing.assert_array_equal(together[name][:, stream : stream + 1], values)


def many_streams() -> Bundle:
    """A network of many streams for this GPU."""
    return bundle_of("adaptive-threshold", "cuda", batch=STREAMS)


def test_long_runs_do_not_hang_and_steps_are_runs() -> None:
    """Tens of thousands of waits of all blocks; a run and single steps leave the same state."""
    inputs = inputs_of("adaptive-threshold", MANY_TICKS)
    bundle = bundle_of("adaptive-threshold", "cuda")
    with load(bundle) as run, load(bundle) as stepped:
        run.run(**inputs)
        for tick in range(MANY_TICKS):
            stepped.step(**{name: values[tick] for name, values in inputs.items()})
        assert run.ticks == stepped.ticks == MANY_TICKS
        np.testing.assert_array_equal(run.state, stepped.state)
