"""Export from end to end: models as people write them, against PyTorch run the way they are used."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from astroedge.exporters import export
from astroedge.step import onnx_file
from astroedge.step.graph import StepGraph
from tests.support import hidden_state_models
from tests.support.graphs import step_through
from tests.support.places import ROOT

TICKS = 40
Example = tuple[nn.Module, tuple[Tensor, ...], Any]


def zeros(*shape: int) -> Tensor:
    """A state's usual start."""
    return torch.zeros(shape)


def hidden_net() -> Example:
    """State in a buffer, an attribute and a dict."""
    return (
        hidden_state_models.on_grid(hidden_state_models.RecurrentNet()),
        (hidden_state_models.spike_data(1, 12),),
        None,
    )


def explicit_net() -> Example:
    """State as arguments."""
    return (
        hidden_state_models.on_grid(hidden_state_models.ExplicitLIF()),
        (hidden_state_models.spike_data(2, 12),),
        (zeros(2, 20), zeros(2, 20)),
    )


def nested_net() -> Example:
    """One state argument of nested containers."""
    pair = hidden_state_models.Pair(zeros(1, 6), zeros(1, 6))
    state = {"pair": pair, "line": [zeros(1, 6), zeros(1, 6)], "rest": hidden_state_models.Refractory(zeros(1, 6))}
    return hidden_state_models.NestedState().eval(), (hidden_state_models.spike_data(1, 6),), state


def delays() -> Example:
    """State in a deque and in a ring buffer."""
    return hidden_state_models.QueueDelay().eval(), (hidden_state_models.spike_data(1, 5),), None


def token_net() -> Example:
    """An index as input."""
    return hidden_state_models.on_grid(hidden_state_models.TokenNet()), (torch.tensor([3]),), None


def seeded(module: nn.Module) -> nn.Module:
    """`module` with reproducible parameters."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 2)
    return module.eval()


def gru_cell() -> Example:
    """A cell that returns nothing but its state."""
    return seeded(nn.GRUCell(4, 6)), (hidden_state_models.spike_data(2, 4),), zeros(2, 6)


def rnn_cell() -> Example:
    """The plain recurrent cell."""
    return seeded(nn.RNNCell(4, 6)), (hidden_state_models.spike_data(1, 4),), zeros(1, 6)


def lstm_cell() -> Example:
    """A cell with two states in one argument."""
    return seeded(nn.LSTMCell(4, 6)), (hidden_state_models.spike_data(1, 4),), (zeros(1, 6), zeros(1, 6))


def gru_layers() -> Example:
    """Two layers of nn.GRU for one tick; the state's batch axis is not the first."""
    return seeded(nn.GRU(4, 6, 2, batch_first=True)), (hidden_state_models.spike_data(3, 1, 4),), zeros(2, 3, 6)


EXACT = (hidden_net, explicit_net, nested_net, delays, token_net)
ROUNDED = (gru_cell, rnn_cell, lstm_cell, gru_layers)


@lru_cache
def exported(example: Callable[[], Example]) -> StepGraph:
    """The graph of an example, exported once for all tests."""
    model, inputs, states = example()
    return export(model, inputs, states)


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


def test_nothing_local_is_left_in_the_file() -> None:
    """No path, source line, stack trace or shape note of the tracer reaches the file."""
    content = exported(hidden_net).model.SerializeToString()
    for trace in (str(ROOT).encode(), b"site-packages", b".py", b"stack_trace", b"pkg.torch", b"lambda"):
        assert trace not in content
    assert not exported(hidden_net).model.graph.value_info


def test_weights_keep_their_module_names() -> None:
    """Initialisers are named after the parameters they come from."""
    names = {tensor.name for tensor in exported(explicit_net).model.graph.initializer}
    assert {"hidden.weight", "hidden.bias", "out.weight", "out.bias"} <= names


def test_two_exports_in_two_processes_give_the_same_bytes() -> None:
    """Export is deterministic across processes and hash seeds."""
    code = (
        "from tests.exporters.test_export_model import hidden_net; from astroedge.exporters import export;"
        "print(export(*hidden_net()).digest)"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    digests = {process.communicate()[0].strip() for process in runs}
    assert digests == {exported(hidden_net).digest}


def test_model_is_left_exactly_as_it_was() -> None:
    """Export changes no tensor, attribute, version counter or random state of the caller."""
    model, inputs, _ = hidden_net()
    model(*inputs)
    model.first.v = torch.zeros(1, 20)  # type: ignore[assignment,union-attr]
    model.second.v = None  # type: ignore[assignment,union-attr]
    before = {
        name: (id(tensor), tensor._version, tensor.clone()) for name, tensor in model.state_dict(keep_vars=True).items()
    }
    last, keys, random = model.memory["last"], list(vars(model.second)), torch.get_rng_state()  # type: ignore[index,arg-type]
    export(model, inputs)
    after = model.state_dict(keep_vars=True)
    assert {name: (id(tensor), tensor._version) for name, tensor in after.items()} == {
        name: note[:2] for name, note in before.items()
    }
    assert all(torch.equal(after[name], note[2]) for name, note in before.items())
    assert model.memory["last"] is last  # type: ignore[index]
    assert list(vars(model.second)) == keys  # type: ignore[arg-type]
    assert torch.equal(torch.get_rng_state(), random)


def test_present_content_is_the_initial_value() -> None:
    """A membrane that starts at −2, and one that starts unevenly, are initial values: a fill and a stored tensor."""
    model = hidden_state_models.BufferLIF(6, 3)
    hidden_state_models.on_grid(model)
    model.v.fill_(-2.0)
    assert export(model, (hidden_state_models.spike_data(1, 6),)).spec.states[0].initial == -2.0
    model.v.copy_(torch.tensor([[0.5, -1.0, 0.25]]))
    graph = export(model, (hidden_state_models.spike_data(1, 6),))
    assert graph.spec.states[0].initial is None
    assert graph.initial_state()["v"].tolist() == [[0.5, -1.0, 0.25]]


def test_rates_come_from_the_examples() -> None:
    """With a sequence of examples the rates are those of the sequence, and a silent layer is noted."""
    model, inputs, _ = hidden_net()
    loud = [(hidden_state_models.spike_data(1, 12, rate=0.6, seed=seed),) for seed in range(70)]
    rate = export(model, inputs, examples=loud).spec.inputs[0].firing_rate
    assert rate == pytest.approx(float(np.mean([tick[0].mean().item() for tick in loud])))
    biased = copy.deepcopy(model)
    biased.first.fc.bias.data.fill_(-50.0)  # type: ignore[union-attr,operator]
    notes = export(biased, inputs, examples=loud).notes
    assert any("'first.spike' never fired" in note for note in notes)


def test_method_of_a_module_can_be_exported() -> None:
    """A step method works like forward; names keep their module paths."""

    class Stepper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lif = hidden_state_models.BufferLIF(4, 3)

        def step(self, x: Tensor) -> Tensor:
            return self.lif(x)

    graph = export(hidden_state_models.on_grid(Stepper()).step, hidden_state_models.spike_data(1, 4))
    assert [state.name for state in graph.spec.states] == ["lif.v"]


def test_function_with_explicit_state_can_be_exported() -> None:
    """A plain function of input and state is a step as well."""

    def integrate(x: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
        return total * 2.0, total + x

    graph = export(integrate, torch.ones(1, 3), torch.zeros(1, 3), name="integrate")
    outputs, state = step_through(graph, {"x": np.ones((4, 1, 3), np.float32)})
    assert outputs["y"][:, 0, 0].tolist() == [0.0, 2.0, 4.0, 6.0]
    assert state["total"][0, 0] == 4.0


def test_explicit_and_hidden_state_go_together() -> None:
    """A model that takes one state and hides another carries both."""

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lif = hidden_state_models.BufferLIF(3, 3)

        def forward(self, x: Tensor, trace: Tensor) -> tuple[Tensor, Tensor]:
            spikes = self.lif(x)
            return spikes + trace, 0.5 * trace + spikes

    graph = export(hidden_state_models.on_grid(Mixed()), hidden_state_models.spike_data(1, 3), torch.zeros(1, 3))
    assert [state.name for state in graph.spec.states] == ["trace", "lif.v"]


def test_state_that_nobody_reads_is_left_out_and_noted() -> None:
    """A record of the last output is no state of the step: it goes, with a note, and takes its own delay line along."""

    class Recorder(hidden_state_models.BufferLIF):
        def __init__(self) -> None:
            super().__init__(4, 3)
            self.last = self.before_last = torch.zeros(1, 3)

        def forward(self, x: Tensor) -> Tensor:
            fired = super().forward(x)
            self.before_last, self.last = self.last, fired.clone()
            return fired

    graph = export(hidden_state_models.on_grid(Recorder()), hidden_state_models.spike_data(1, 4))
    assert [state.name for state in graph.spec.states] == ["v"]
    assert [note for note in graph.notes if "'last'" in note]
    assert [note for note in graph.notes if "'before_last'" in note]


def test_model_with_external_weights_is_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights beyond the limit of one file take the way through a data file, and the graph is the same."""
    monkeypatch.setattr(onnx_file, "EXTERNAL_LIMIT", 1500)
    graph = export(*hidden_net())
    monkeypatch.undo()
    assert graph.digest == exported(hidden_net).digest


def test_decay_from_a_parameter_is_folded_with_the_bits_of_torch() -> None:
    """What depends on parameters alone is a constant in the graph, and it is exactly PyTorch's value."""

    class Learnt(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.log_tau = nn.Parameter(torch.linspace(-1.0, 2.0, 33))

        def forward(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
            v = torch.exp(-torch.exp(-self.log_tau)) * v + x
            return torch.tanh(v), v

    model = Learnt().eval()
    graph = export(model, torch.randn(1, 33, generator=torch.Generator().manual_seed(0)), torch.zeros(1, 33))
    wanted = torch.exp(-torch.exp(-model.log_tau)).detach().numpy()
    stored = [tensor for tensor in graph.model.graph.initializer if tensor.name.startswith("log_tau")]
    assert [np.frombuffer(tensor.raw_data, np.float32).tolist() for tensor in stored] == [wanted.tolist()]
    assert "Exp" not in {node.op_type for node in graph.model.graph.node}


class WithoutGradients(hidden_state_models.BufferLIF):
    """Refuses to run while gradients are recorded, as modules made for inference do."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            raise RuntimeError("no gradients here")
        return super().forward(x)


def test_model_is_never_run_with_gradients() -> None:
    """A module that is made for inference alone is exported."""
    graph = export(WithoutGradients(3, 2).eval(), torch.ones(1, 3))
    assert [state.name for state in graph.spec.states] == ["v"]
