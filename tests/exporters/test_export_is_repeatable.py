"""Export changes nothing of the caller's, starts from what is there, and gives the same bytes again."""

from __future__ import annotations

import copy
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from astroedge.exporters import export
from astroedge.step import onnx_file
from tests.support import hidden_state_models
from tests.support.export_examples import exported, hidden_net
from tests.support.places import ROOT


def test_nothing_local_is_left_in_the_file() -> None:
    """No path, source line, stack trace or shape note of the tracer reaches the file."""
    content = exported(hidden_net).model.SerializeToString()
    for trace in (str(ROOT).encode(), b"site-packages", b".py", b"stack_trace", b"pkg.torch", b"lambda"):
        assert trace not in content
    assert not exported(hidden_net).model.graph.value_info


def test_two_exports_in_two_processes_give_the_same_bytes() -> None:
    """Export is deterministic across processes and hash seeds."""
    code = (
        "from tests.support.export_examples import hidden_net; from astroedge.exporters import export;"
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


def test_model_with_external_weights_is_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights beyond the limit of one file take the way through a data file, and the graph is the same."""
    monkeypatch.setattr(onnx_file, "EXTERNAL_LIMIT", 1500)
    graph = export(*hidden_net())
    monkeypatch.undo()
    assert graph.digest == exported(hidden_net).digest
