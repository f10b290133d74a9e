"""The CUDA C of whole steps, run on the CPU: the bits of the processors' sessions, however many blocks there are."""

from __future__ import annotations

from functools import cache

import pytest

from astroedge.runtimes import load
from tests.cuda_emulator.kernels import KernelError
from tests.support import networks
from tests.support.device_steps import DeviceStep, device_step, same_bits

TICKS = 50


@cache
def step_of(name: str) -> DeviceStep:
    """The CUDA C of a network, made once."""
    return device_step(networks.graph_of(name))


@pytest.mark.parametrize("name", ["adaptive-threshold", "gru", "convolutional", "astrosnn"])
def test_a_network_has_the_bits_of_the_processor(name: str) -> None:
    """Outputs, states and activity of a launch of 50 ticks are those of the native session, in any order of threads."""
    inputs = networks.inputs_of(name, TICKS)
    with load(networks.bundle_of(name)) as session:
        wanted, states, activity = session.run(**inputs), dict(session.states), session.activity()
    for grid, seed in ((2, 1), (3, 5)):
        given, after, counted = step_of(name).run(inputs, grid=grid, seed=seed)
        assert same_bits(given, wanted) == []
        assert same_bits(after, states) == []
        assert counted == {counter: found.active for counter, found in activity.items()}


def test_a_text_is_the_same_every_time() -> None:
    """Compiling a graph again gives the very text."""
    assert device_step(networks.graph_of("adaptive-threshold")).made.text == step_of("adaptive-threshold").made.text


def test_every_wait_is_needed() -> None:
    """No two threads race, and without any one wait inside the tick two do."""
    step, inputs = step_of("adaptive-threshold"), networks.inputs_of("adaptive-threshold", 2)
    step.run(inputs, races=True)
    assert step.waits >= 2
    for number in range(step.waits):
        with pytest.raises(KernelError, match="race"):
            step.run(inputs, races=True, text=step.without_wait(number))
