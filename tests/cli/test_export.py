from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from astroedge.models import AstroSNN, AstroSNNConfig, save_checkpoint
from astroedge.step.examples import LEAST_TICKS
from astroedge.step.graph import StepGraph
from astroedge.workflows.inputs.model_source import ENGLISH, load_model
from tests.support.command import Command

MODELS = '''
import torch
from torch import nn

class Leaky(nn.Module):
    """Leaky integrate-and-fire neurons on a grid of 1/64."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.weights = nn.Linear(8, 6)
        for parameter in self.parameters():
            parameter.data = torch.round(parameter.data * 128) / 64

    def forward(self, x, v):
        charged = 0.875 * v + self.weights(x)
        spikes = (charged >= 1.0).to(x.dtype)
        return spikes, charged - spikes

class Hidden(Leaky):
    def __init__(self):
        super().__init__()
        self.register_buffer("v", torch.zeros(1, 6))

    def forward(self, x):
        spikes, self.v = super().forward(x, self.v)
        return spikes

def explicit():
    return Leaky().eval(), (torch.ones(1, 8),), (torch.zeros(1, 6),)

class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.gru, self.lif = nn.GRU(8, 4), Hidden()

    def forward(self, x, h):
        y, h = self.gru(x[None], h)
        return self.lif(torch.cat([y[0], y[0]], 1)), h

def gated():
    return Gated().eval(), (torch.ones(1, 8),), ((torch.arange(4.0) - 1).reshape(1, 1, 4),)

class Mixed(Leaky):
    def forward(self, x, v):
        return super().forward(x, v.mean(0, keepdim=True).expand_as(v))

def mixed():
    return Mixed().eval(), (torch.ones(1, 8),), (torch.zeros(1, 6),)

def hidden():
    return Hidden().eval(), (torch.ones(1, 8),)

def module_only():
    return Hidden().eval()

def untouched():
    return Hidden(), (torch.ones(1, 8),)

def stateless():
    return nn.Linear(8, 6).eval(), (torch.ones(1, 8),)

class Sorting(Leaky):
    def forward(self, x, v):
        return torch.linalg.svd(x)[1], v + torch.rand_like(v)

def unsupported():
    return Sorting().eval(), (torch.ones(1, 8),), (torch.zeros(1, 6),)

def broken():
    return nn.Linear(3, "four")

def wrong():
    return "a model"
'''


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's file with factories."""
    path = tmp_path_factory.mktemp("models") / "nets.py"
    path.write_text(MODELS, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighty ticks of spikes for the models of the file."""
    path = tmp_path_factory.mktemp("frames") / "frames.npz"
    x = (np.random.default_rng(1).random((80, 1, 8)) < 0.5).astype(np.float32)
    np.savez(path, x=x)
    return path


def test_factory_in_a_file_becomes_a_graph(
    astroedge_command: Command, models: Path, frames: Path, tmp_path: Path
) -> None:
    """States, spikes with their rates on the examples, the comparison with PyTorch and the next command are shown."""
    target = tmp_path / "net.onnx"
    result = astroedge_command("export", f"{models}:explicit", "--example", frames, "--name", "leaky", "-o", target)
    assert result.code == 0, result.err
    graph = StepGraph.load(target)
    assert graph.name == "leaky"
    assert [state.name for state in graph.spec.states] == ["v"]
    assert 0.02 < graph.spec.spikes[0].firing_rate < 0.9
    assert graph.spec.inputs[0].firing_rate == pytest.approx(0.5, abs=0.1)
    assert "State carried over" in result.out
    assert "Parity: 200 ticks" in result.out
    assert f"astroedge compile {target}" in result.out


def test_what_is_accepted_is_shown(astroedge_command: Command, models: Path, tmp_path: Path) -> None:
    """--check-ticks, --tolerance and --allow-flips reach the graph, and inspect says what was accepted."""
    target = tmp_path / "net.onnx"
    options = ("--check-ticks", "7", "--tolerance", "1e-4", "--allow-flips", "2")
    result = astroedge_command("export", f"{models}:explicit", *options, "-o", target)
    assert "Parity: 7 ticks" in result.out
    shown = astroedge_command("inspect", target)
    assert "Accepted at export: compared over 7 ticks within 0.0001, 2 of them allowed" in " ".join(shown.out.split())


def test_names_of_classes_go_along(astroedge_command: Command, models: Path, tmp_path: Path) -> None:
    """--labels puts a name for each score into the graph, which inspect names; another number of them is refused."""
    target, names = tmp_path / "net.onnx", tmp_path / "names.txt"
    names.write_text("a\nb\nc\nd\ne\nß\n", encoding="utf-8")
    line = ("export", f"{models}:explicit", "--labels", names, "--check-ticks", "3", "-o", target)
    assert astroedge_command(*line).code == 0
    assert StepGraph.load(target).assets == {"labels.txt": names.read_bytes()}
    assert "Assets: labels.txt, 13 B" in astroedge_command("inspect", target).out
    (record,) = json.loads(astroedge_command("inspect", target, "--json", "-").out)["assets"]
    assert (record["name"], record["size"]) == ("labels.txt", 13)
    target.unlink()
    names.write_text("a\nb\n")
    result = astroedge_command(*line)
    assert result.failed_with(60), result
    assert "2 labels, and the first output 'y' has 6 scores" in result.err
    assert not target.exists()


def test_module_alone_takes_its_shapes_from_the_example(
    astroedge_command: Command, models: Path, frames: Path, tmp_path: Path
) -> None:
    """A factory may give the bare module when --example is there; without it the error says what is missing."""
    target = tmp_path / "net.onnx"
    result = astroedge_command("export", f"{models}:module_only", "-o", target)
    assert result.failed_with(10), result
    assert "--example" in result.err
    assert astroedge_command("export", f"{models}:module_only", "--example", frames, "-o", target).code == 0
    assert StepGraph.load(target).name == "module_only"
    assert StepGraph.load(target).spec.inputs[0].shape == (1, 8)


def test_factory_in_a_module_is_found_from_the_working_folder(
    astroedge_command: Command, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dotted name is imported as `python -m` would."""
    (tmp_path / "mynets").mkdir()
    (tmp_path / "mynets" / "__init__.py").write_text("")
    (tmp_path / "mynets" / "small.py").write_text(models.read_text())
    monkeypatch.chdir(tmp_path)
    assert astroedge_command("export", "mynets.small:hidden", "-o", "net.onnx").code == 0
    assert [state.name for state in StepGraph.load("net.onnx").spec.states] == ["v"]


def test_checkpoint_becomes_a_graph_with_english_rates(astroedge_command: Command, tmp_path: Path) -> None:
    """An AstroSNN's checkpoint needs nothing else: its tokens are bytes of English text, or those of its example."""
    import torch

    torch.manual_seed(0)
    model, example = AstroSNN(AstroSNNConfig(width=16, heads=2, feed_forward=24, layers=1)), torch.arange(256)
    save_checkpoint(model, tmp_path / "tiny.safetensors")
    save_checkpoint(model, tmp_path / "own.safetensors", example)
    assert [int(token) for (token,) in load_model(str(tmp_path / "own.safetensors")).examples or ()] == list(range(256))
    target = tmp_path / "tiny.onnx"
    result = astroedge_command("export", tmp_path / "tiny.safetensors", "-o", target)
    assert result.code == 0, result.err
    graph = StepGraph.load(target)
    assert graph.name == "tiny"
    assert graph.spec.inputs[0].index_range == (0, 256)
    assert graph.spec.outputs[0].name == "logits"
    assert graph.spec.states[0].name == "blocks.0.astro.H"
    assert any(spike.firing_rate > 0 for spike in graph.spec.spikes)
    assert bytes(graph.examples["token"].ravel().tolist()) == ENGLISH
    assert f"Examples: {len(ENGLISH)} ticks" in result.out


def test_tokens_of_unknown_meaning_are_no_examples(tmp_path: Path) -> None:
    """A network over other tokens than bytes gets too few of any to be rounded by, where its checkpoint holds none."""
    config = AstroSNNConfig(vocabulary=300, width=16, heads=2, feed_forward=24, layers=1)
    save_checkpoint(AstroSNN(config), tmp_path / "parts.safetensors")
    assert len(load_model(str(tmp_path / "parts.safetensors")).examples or ()) < LEAST_TICKS


@pytest.mark.parametrize(
    ("factory", "code", "message"),
    [
        ("untouched", 10, "Hidden is in training mode; call model.eval()"),
        ("stateless", 11, "state"),
        ("unsupported", 12, "random"),
        ("broken", 10, "nets.py:"),
        ("wrong", 10, "returned str"),
        ("explict", 10, "did you mean 'explicit'?"),
    ],
)
def test_model_that_cannot_be_exported_is_one_line(
    astroedge_command: Command, models: Path, tmp_path: Path, factory: str, code: int, message: str
) -> None:
    """No state, an unsupported operator, a factory that fails, gives nothing or is not there: nothing is written."""
    result = astroedge_command("export", f"{models}:{factory}", "-o", tmp_path / "net.onnx")
    assert result.failed_with(code), result
    assert message in result.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "code", "message"),
    [
        ("nothing", 10, "names no model"),
        ("none.py:make", 10, "There is no file none.py"),
        ("no_such_package.nets:make", 10, "ModuleNotFoundError"),
        ("none.safetensors", 10, "There is no file none.safetensors"),
    ],
)
def test_source_that_is_not_there_is_one_line(
    astroedge_command: Command, tmp_path: Path, source: str, code: int, message: str
) -> None:
    """The message says what was looked for."""
    result = astroedge_command("export", source, "-o", tmp_path / "net.onnx")
    assert result.failed_with(code), result
    assert message in result.err


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"z": np.zeros((4, 1, 8), np.float32)}, "holds 'z', which the model does not take; its arguments: x"),
        ({"x": np.zeros((0, 1, 8), np.float32)}, "leading axis of ticks"),
        ({}, "holds no array"),
    ],
)
def test_example_that_does_not_fit_is_one_line(
    astroedge_command: Command, models: Path, tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    """An example file with other names or without ticks is refused."""
    np.savez(tmp_path / "frames.npz", **arrays)
    result = astroedge_command(
        "export", f"{models}:module_only", "--example", tmp_path / "frames.npz", "-o", tmp_path / "net.onnx"
    )
    assert result.failed_with(60), result
    assert message in result.err
    assert not (tmp_path / "net.onnx").exists()


def test_a_firing_rate_is_declared_on_the_command_line(
    astroedge_command: Command, models: Path, tmp_path: Path
) -> None:
    """`--firing-rate x=0.25` is written into the graph; an unknown input and a wrong form are one line of error."""
    target = tmp_path / "net.onnx"
    command = ("export", f"{models}:explicit", "-o", target, "--firing-rate")
    assert astroedge_command(*command, "x=0.25").code == 0
    assert StepGraph.load(target).spec.inputs[0].firing_rate == 0.25
    target.unlink()
    assert astroedge_command(*command, "voltage=0.25").failed_with(10)
    assert astroedge_command(*command, "often").code == 2
    assert not target.exists()


def test_shapes_and_batch_stand_for_examples(astroedge_command: Command, models: Path, tmp_path: Path) -> None:
    """--example 1,8 draws inputs of that shape, for which names must be those of inputs."""
    target = tmp_path / "net.onnx"
    result = astroedge_command("export", f"{models}:module_only", "--example", "x=1,8", "-o", target)
    assert result.code == 0, result.err
    assert StepGraph.load(target).spec.inputs[0].shape == (1, 8)
    wrong = astroedge_command("export", f"{models}:module_only", "--example", "z=1,8", "-o", target)
    assert wrong.failed_with(60), wrong


def test_batch_repeats_inputs_and_explicit_states(astroedge_command: Command, models: Path, tmp_path: Path) -> None:
    """Each explicit state gets --batch streams along its own axis, all with its initial value; hidden ones follow."""
    target = tmp_path / "net.onnx"
    result = astroedge_command("export", f"{models}:gated", "--batch", "3", "-o", target)
    assert result.code == 0, result.err
    graph = StepGraph.load(target)
    assert graph.spec.inputs[0].shape == (3, 8)
    assert {state.name: (state.shape, state.batch_axis) for state in graph.spec.states} == {
        "h": ((1, 3, 4), 1),
        "lif.v": ((3, 6), 0),
    }
    assert (graph.initial_state()["h"] == np.arange(-1, 3)).all()


@pytest.mark.parametrize("batch", ["0", "-3", "100000000"])
def test_batches_that_no_step_carries_are_refused(
    astroedge_command: Command, models: Path, tmp_path: Path, batch: str
) -> None:
    """None, less than none, and more than kernels count: the last with the memory that it would take."""
    result = astroedge_command("export", f"{models}:gated", "--batch", batch, "-o", tmp_path / "net.onnx")
    assert result.code != 0
    assert not (tmp_path / "net.onnx").exists()
    if batch == "100000000":
        assert result.failed_with(10), result
        assert "100,000,000" in result.err
        assert "call it for one group of streams after the other" in result.err


def test_batch_refuses_streams_that_are_not_apart(astroedge_command: Command, models: Path, tmp_path: Path) -> None:
    """Where streams change each other, --batch says so and what to return instead."""
    result = astroedge_command("export", f"{models}:mixed", "--batch", "2", "-o", tmp_path / "net.onnx")
    assert result.failed_with(10), result
    assert "one changes another; return inputs and states of that batch" in result.err


def test_onnx_file_with_pairs_becomes_a_graph_and_a_sequence(astroedge_command: Command, tmp_path: Path) -> None:
    """A foreign graph needs --state, which other models refuse; --sequence writes a second file."""
    import onnx
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in ("x", "h", "y", "h_out")]
    nodes = [helper.make_node("Add", ["x", "h"], ["h_out"]), helper.make_node("Tanh", ["h_out"], ["y"])]
    model = helper.make_model(
        helper.make_graph(nodes, "g", values[:2], values[2:]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    source, target = tmp_path / "foreign.onnx", tmp_path / "net.onnx"
    onnx.save(model, source)
    assert astroedge_command("export", source, "-o", target).failed_with(11)
    np.save(tmp_path / "h.npy", np.array([[1, 2, 3]], np.float32))
    options = ("--batch", "1", "--initial", f"h={tmp_path / 'h.npy'}", "--sequence")
    result = astroedge_command("export", source, "--state", "h=h_out", *options, "-o", target)
    assert result.code == 0, result.err
    assert StepGraph.load(target).initial_state()["h"].tolist() == [[1, 2, 3]]
    assert onnx.load(tmp_path / "net.sequence.onnx").graph.node[0].op_type == "Scan"


def test_pairs_are_for_onnx_files_only(astroedge_command: Command, models: Path, tmp_path: Path) -> None:
    """--state with a factory is refused."""
    result = astroedge_command("export", f"{models}:explicit", "--state", "v=y", "-o", tmp_path / "net.onnx")
    assert result.failed_with(10), result
    assert "--state" in result.err
