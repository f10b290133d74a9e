"""A step wrapped in Scan: the bits of the step loop, whatever the states do."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from astroedge.errors import ExportError
from astroedge.exporters import export
from astroedge.exporters.graph.sequence import sequence
from astroedge.exporters.parity.firing_rates import open_session, run
from astroedge.step.graph import StepGraph

TICKS = 50


class Hard(nn.Module):
    """Two states that swap, one of which is an output, and a spiking one that starts from a tensor."""

    def __init__(self) -> None:
        """Weights from a fixed seed."""
        super().__init__()
        torch.manual_seed(1)
        self.weight = nn.Parameter(torch.randn(6, 4))

    def forward(self, x: Tensor, a: Tensor, b: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        """Integrate, fire, swap; the second output is the next a."""
        v = 0.8 * v + x @ self.weight.T + 0.1 * a
        spikes = (v > 1).float()
        return spikes, b, b, a + 0.25 * spikes, v - spikes


@pytest.fixture(scope="module")
def graph() -> StepGraph:
    """The hard step."""
    states = (torch.zeros(2, 6), torch.full((2, 6), 0.5), torch.linspace(-1, 1, 12).reshape(2, 6))
    return export(Hard().eval(), (torch.randn(2, 4),), states)


def frames(ticks: int = TICKS) -> np.ndarray:
    """Inputs of successive ticks."""
    return np.random.default_rng(0).standard_normal((ticks, 2, 4)).astype(np.float32)


def loop(graph: StepGraph, x: np.ndarray, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The step in a loop: outputs of all ticks, states after the last."""
    session = open_session(graph.model)
    collected: dict[str, list[np.ndarray]] = {item.name: [] for item in graph.spec.outputs}
    for tick in x:
        values = run(session, {"x": tick}, state)
        state = {name: values[f"next.{name}"] for name in state}
        for name, found in collected.items():
            found.append(values[name])
    return {name: np.stack(found) for name, found in collected.items()} | {f"next.{n}": v for n, v in state.items()}


def run_sequence(session: onnxruntime.InferenceSession, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All outputs by name."""
    names = [item.name for item in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


@pytest.mark.parametrize("ticks", [1, 7, TICKS])
def test_sequence_gives_the_bits_of_the_step_loop(graph: StepGraph, ticks: int) -> None:
    """One model of a dynamic number of ticks agrees bit for bit, swapped states and states as outputs included."""
    found = run_sequence(open_session(sequence(graph)), {"x": frames(ticks)})
    wanted = loop(graph, frames(ticks), graph.initial_state())
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].tobytes() == array.tobytes(), name
    if ticks == TICKS:
        assert 0.01 < wanted["y"].mean() < 0.6


def test_states_may_be_fed(graph: StepGraph) -> None:
    """A second call that is fed the states of the first goes on where that stopped."""
    session, x = open_session(sequence(graph)), frames()
    first = run_sequence(session, {"x": x[:20]})
    states = {f"state.{name}": first[f"next.{name}"] for name in graph.initial_state()}
    second = run_sequence(session, {"x": x[20:], **states})
    whole = run_sequence(session, {"x": x})
    assert np.concatenate([first["y"], second["y"]]).tobytes() == whole["y"].tobytes()


def test_fixed_number_of_ticks_is_in_the_shapes(graph: StepGraph) -> None:
    """With `ticks`, inputs and outputs have that leading size."""
    model = sequence(graph, 5)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 5
    assert run_sequence(open_session(model), {"x": frames(5)})["y"].shape == (5, 2, 6)


def test_no_ticks_are_refused(graph: StepGraph) -> None:
    """A sequence holds at least one tick."""
    with pytest.raises(ExportError, match="at least one"):
        sequence(graph, 0)
