"""The recipes for digits: what each network sees of an image, and that what is trained is the exported step."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from astroedge.models import EGRUNetwork, NALSMClassifier
from tests.support.zoo_modules import zoo_module


@pytest.fixture(scope="module")
def task() -> Iterator[ModuleType]:
    """The file of the task."""
    with zoo_module("recipes.digits") as module:
        yield module


def images(shape: tuple[int, ...]) -> SimpleNamespace:
    """Images whose bright row is their class, as `shape` has them."""
    labels, draw = torch.arange(40) % 4, torch.Generator().manual_seed(3)
    shown = 4 * torch.rand((40, 8, 8), generator=draw)
    shown[torch.arange(40), labels] += 12
    ticks = [image if shape == (8, 8) else image.flatten().repeat(shape[0], 1) for image in shown]
    return SimpleNamespace(inputs=ticks, labels=labels)


def last(model: nn.Module, x: Tensor) -> Tensor:
    """The step's output after the last of `x (T, B, inputs)`."""
    state, output = model.initial_state(x.shape[1]), torch.zeros(())
    with torch.no_grad():
        for tick in x:
            output, *state = model(tick, *state)
    return output


def test_egru_is_trained_as_the_step_that_reads_raw_pixels(task: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two epochs move every weight, and what was trained on pixels of 0 … 1 is the step on those of 0 … 16."""
    monkeypatch.setattr(task, "EPOCHS", 2)
    torch.manual_seed(0)
    model, data, told = EGRUNetwork((8, 32, 10)), images((8, 8)), list[float]()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    task.train_egru(model, data, 0, told.append)
    assert told == [0.5, 1.0]
    assert [key for key, value in model.state_dict().items() if torch.equal(value, before[key])] == []
    x = torch.stack(data.inputs, 1)
    given = last(model, x)
    with torch.no_grad():
        model.layers[0].W.weight *= 16
        trained, events = task._read(model, x / 16)
    torch.testing.assert_close(given, trained)
    assert events.shape == (8, 40, 32)
    assert events.any()


def test_nalsm_is_trained_as_the_step_that_is_exported(task: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run without decay moves the reservoir's weights, and the step's scores then tell images apart."""
    monkeypatch.setattr(task, "FIRST_IMAGES", 20)
    torch.manual_seed(0)
    model, data = NALSMClassifier(64, 10, (3, 4, 4), task.GAIN), images((40, 64))
    before, decay = model.reservoir.weight.clone(), model.reservoir.rate_decay
    task.train_nalsm(model, data, 0, lambda share: None)
    moved = (model.reservoir.weight != before)[model.reservoir.synapses]
    assert moved.float().mean() > 0.1
    assert (model.reservoir.weight[~model.reservoir.synapses] == 0).all()
    assert model.reservoir.rate_decay == decay
    given = last(model, torch.stack(data.inputs, 1))
    assert (given.argmax(1) == data.labels).float().mean() > 0.8


def test_counts_give_the_classes_of_their_shares(task: ModuleType) -> None:
    """The readout reads how spikes are shared out: twice the counts, or a tenth, are of the same class."""
    draw = torch.Generator().manual_seed(5)
    labels = torch.arange(60) % 10
    counts = torch.rand((60, 20), generator=draw) + 2 * torch.eye(10).repeat(1, 2)[labels]
    weight = task._readout(counts, labels)
    for factor in (1.0, 2.0, 0.1):
        assert ((factor * counts @ weight.T).argmax(1) == labels).all()


def test_the_split_is_fixed_and_each_network_sees_whole_images(task: ModuleType) -> None:
    """500 of 1,797 images are held out, the same in both forms, all raw: eight rows, or 64 ticks of the image."""
    (rows, held_out), (_, presented) = task.load_rows(), task.load_presentations()
    assert (len(rows.inputs), len(held_out.inputs)) == (1297, 500)
    seen = {tuple(image.flatten().tolist()) for image in rows.inputs}
    assert sum(tuple(image.flatten().tolist()) in seen for image in held_out.inputs) == 0
    assert torch.stack(held_out.inputs).max() == 16
    assert torch.equal(held_out.labels, presented.labels)
    assert torch.equal(presented.inputs[7], held_out.inputs[7].flatten().expand(64, 64))
