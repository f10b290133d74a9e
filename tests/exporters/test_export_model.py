"""Export from end to end: models as people write them, against PyTorch run the way they are used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from astroedge.errors import InputError
from astroedge.exporters import export
from astroedge.parity import Allowance
from astroedge.step.spec import StepSpec
from tests.support import hidden_state_models
from tests.support.export_examples import (
    EXACT,
    ROUNDED,
    Example,
    delays,
    explicit_net,
    exported,
    gru_cell,
    gru_layers,
    hidden_net,
    lstm_cell,
    nested_net,
    token_net,
)
from tests.support.graphs import step_through

TICKS = 40


class Events(nn.Module):
    """A table of two rows, read where the second column of an event says; the first has a range of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.arange(8.0).reshape(2, 4) / 8)
        self.register_buffer("v", torch.zeros(2, 4))

    def forward(self, event: Tensor) -> Tensor:
        self.v = 0.5 * self.v + self.table[event[:, 1].long()]
        return (self.v >= 1).float()


def test_whole_numbers_of_a_lone_example_stay_in_their_columns() -> None:
    """An event whose columns have ranges of their own is compared on data that is as valid as the example."""
    graph = export(Events().eval(), torch.tensor([[25, 1], [9, 0]]))
    assert not any("variations" in note for note in graph.notes)


def test_model_that_takes_no_variation_is_compared_on_its_example() -> None:
    """What export makes of a lone example is not the user's fault: it is compared as it is, and a note says so."""
    graph = export(Events().eval(), torch.tensor([[25.0, 1.0], [9.0, 0.0]]))
    assert graph.parity is not None
    assert graph.parity.ticks == 200
    assert any("cannot take variations of its only example (IndexError: index" in note for note in graph.notes)


def test_what_a_user_accepts_is_written_into_the_graph() -> None:
    """Ticks, tolerance and flips that differ from the usual are in the spec, and after JSON too; else nothing is."""
    model, inputs, states = hidden_net()
    graph = export(model, inputs, states, check_ticks=5, tolerance=1e-4, allow_flips=2)
    assert graph.parity is not None
    assert graph.parity.ticks == 5
    assert StepSpec.from_json(graph.spec.to_json()).allowance == Allowance(5, 1e-4, 2)
    assert "allowance" not in export(model, inputs, states).spec.to_json()


@pytest.mark.parametrize(
    "given",
    [{"check_ticks": 0}, {"check_ticks": 10**12}, {"tolerance": 0.0}, {"tolerance": float("nan")}, {"allow_flips": -1}],
)
def test_meaningless_allowance_is_refused(given: dict[str, Any]) -> None:
    """No tick, no tolerance and fewer than no flips are errors that name the argument."""
    model, inputs, states = hidden_net()
    with pytest.raises(InputError, match=next(iter(given))):
        export(model, inputs, states, **given)


def random_ticks(inputs: Sequence[Tensor]) -> list[list[Tensor]]:
    """Inputs of other ticks than export saw: spikes stay spikes, tokens stay tokens."""
    generator = torch.Generator().manual_seed(7)

    def like(tensor: Tensor) -> Tensor:
        if tensor.is_floating_point():
            return (torch.rand(tensor.shape, generator=generator) < 0.4).float()
        return torch.randint(0, 11, tensor.shape, generator=generator)

    return [[like(tensor) for tensor in inputs] for _ in range(TICKS)]


def torch_outputs(example: Example, ticks: Sequence[Sequence[Tensor]]) -> list[np.ndarray]:
    """The first output of every tick, the model called as its user calls it."""
    model, _, states = example
    outputs = []
    for inputs in ticks:
        with torch.no_grad():
            if states is None:
                result = model(*inputs)
            elif isinstance(model, hidden_state_models.ExplicitLIF):
                result, *states = model(*inputs, *states)
            elif isinstance(model, nn.RNNCellBase):
                result = states = model(*inputs, states)
            else:
                result, states = model(*inputs, states)
        outputs.append((result[0] if isinstance(result, tuple) else result).numpy().copy())
    return outputs


@pytest.mark.parametrize("example", [*EXACT, *ROUNDED])
def test_graph_does_what_the_model_does(example: Callable[[], Example]) -> None:
    """On data that export never saw the graph, stepping alone, gives what PyTorch gives: the same bits on grid nets."""
    graph = exported(example)
    ticks = random_ticks(example()[1])
    data = {item.name: np.stack([tick[i].numpy() for tick in ticks]) for i, item in enumerate(graph.spec.inputs)}
    outputs, _ = step_through(graph, data)
    got, wanted = outputs[graph.spec.outputs[0].name], np.stack(torch_outputs(example(), ticks))
    if example in EXACT:
        np.testing.assert_array_equal(got, wanted)
    else:
        np.testing.assert_allclose(got, wanted, atol=1e-6)
    assert wanted.std() > 0.01


@pytest.mark.parametrize(
    ("example", "names"),
    [
        (hidden_net, ["memory.last", "first.v", "second.v"]),
        (explicit_net, ["v", "b"]),
        (nested_net, ["line.0", "line.1", "pair.v", "pair.i", "rest.left"]),
        (delays, ["ring", "position", "queue.0", "queue.1", "queue.2"]),
        (token_net, ["v"]),
        (gru_cell, ["hx"]),
        (lstm_cell, ["hx.0", "hx.1"]),
    ],
)
def test_states_are_named_by_where_they_live(example: Callable[[], Example], names: list[str]) -> None:
    """Hidden states have their module paths, explicit ones their argument and the path inside it."""
    assert [state.name for state in exported(example).spec.states] == names


def test_inputs_and_outputs_are_named_by_signature_and_model() -> None:
    """Inputs have the names of the arguments; outputs are y, y1, … unless the model names them."""
    assert [item.name for item in exported(token_net).spec.inputs] == ["token"]
    assert [item.name for item in exported(token_net).spec.outputs] == ["logits"]
    assert [item.name for item in exported(delays).spec.outputs] == ["y", "y1"]


def test_given_names_win() -> None:
    """Names given to export replace all others, and the graph carries its own name."""
    model, inputs, states = explicit_net()
    graph = export(
        model, inputs, states, input_names=["frame"], output_names=["score"], state_names=["mem", "adapt"], name="net"
    )
    assert graph.name == "net"
    assert [value.name for value in graph.model.graph.input] == ["frame", "state.mem", "state.adapt"]
    assert [value.name for value in graph.model.graph.output] == ["score", "next.mem", "next.adapt"]


def test_names_may_be_those_of_operators() -> None:
    """Arguments, outputs and states may be called as PyTorch calls values inside the graph."""

    def step(mul: Tensor, add: Tensor, val_0: Tensor) -> tuple[Tensor, Tensor]:
        return mul * add + 2.5 * val_0, (mul + add) * val_0

    graph = export(step, (torch.ones(1, 3), torch.ones(1, 3)), torch.ones(1, 3), output_names=["mul_1"])
    outputs, _ = step_through(graph, {name: np.full((2, 1, 3), 0.5, np.float32) for name in ("mul", "add")})
    assert [value.name for value in graph.model.graph.input] == ["mul", "add", "state.val_0"]
    assert outputs["mul_1"][:, 0, 0].tolist() == [2.75, 2.75]


def test_batch_axis_is_found_where_it_is() -> None:
    """The batch axis is 0 for most states, 1 for nn.GRU's and a ring buffer's, None for a shared position."""
    axes = {
        state.name: state.batch_axis for example in (explicit_net, delays) for state in exported(example).spec.states
    }
    assert axes == {"v": 0, "b": 0, "ring": 1, "position": None, "queue.0": 0, "queue.1": 0, "queue.2": 0}
    assert exported(gru_layers).spec.states[0].batch_axis == 1


def test_spike_tensors_are_found_named_and_measured() -> None:
    """Each layer's spikes carry their module's name and a rate between silence and saturation."""
    spikes = {item.name: item for item in exported(hidden_net).spec.spikes}
    assert sorted(spikes) == ["first.spike", "second.spike"]
    assert all(0.05 < item.firing_rate < 0.6 for item in spikes.values())
    assert spikes["first.spike"].shape == (1, 20)


def test_refractory_spikes_are_the_conjunction() -> None:
    """A neuron that fires when above threshold and not refractory is one spike tensor, not two comparisons."""
    graph = exported(nested_net)
    assert [item.name for item in graph.spec.spikes] == ["spike"]
    makers = {output: node.op_type for node in graph.model.graph.node for output in node.output}
    assert makers[graph.spec.spikes[0].tensor] == "And"


def test_inputs_are_measured() -> None:
    """A spike input has its rate, a float input its largest value, a token the size of the table it selects from."""
    assert exported(token_net).spec.inputs[0].index_range == (0, 11)
    spikes = exported(hidden_net).spec.inputs[0]
    assert spikes.firing_rate == pytest.approx(hidden_state_models.spike_data(1, 12).mean().item())
    assert spikes.span == 1.0


def test_parity_report_covers_200_ticks() -> None:
    """The comparison made during export comes with the graph: exact for a grid net, rounding for a GRU."""
    parity = exported(hidden_net).parity
    assert parity is not None
    assert (parity.ticks, parity.worst, parity.flips, parity.divergence) == (200, 0.0, (), None)
    assert parity.spikes == 200 * (20 + 16)
    rounded = exported(gru_cell).parity
    assert rounded is not None
    assert 0 < rounded.worst < 1e-5


def test_recurrent_layers_are_decomposed() -> None:
    """No recurrent or control-flow operator is left in the graph: the step is plain arithmetic."""
    operators = {node.op_type for example in ROUNDED for node in exported(example).model.graph.node}
    assert not operators & {"GRU", "LSTM", "RNN", "Loop", "Scan", "If"}


def test_weights_keep_their_module_names() -> None:
    """Initialisers are named after the parameters they come from."""
    names = {tensor.name for tensor in exported(explicit_net).model.graph.initializer}
    assert {"hidden.weight", "hidden.bias", "out.weight", "out.bias"} <= names
