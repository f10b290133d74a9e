"""Trained networks: made from their records, with the inputs that they come with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from astroedge.errors import InputError
from astroedge.models import BDH, BDHConfig
from astroedge.models.trained import load_trained
from tests.support.zoo_networks import record, write_network, write_zoo


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with three networks."""
    return write_zoo(tmp_path_factory.mktemp("zoo"))


def test_a_network_is_its_class_with_its_weights(zoo: Path) -> None:
    """Weights of 16 bits come back in 32, the model is ready to run, and its example is a tick of one stream each."""
    found = load_trained("l2mu-har-synaptic", zoo)
    stored = safetensors.torch.load_file(zoo / "l2mu-har-synaptic.safetensors")
    assert not found.model.training
    for name, tensor in found.model.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, stored[name].float())
    assert torch.equal(torch.cat([x for (x,) in found.examples]), stored["example.x"])
    spikes, *state = found.model(*found.examples[0], *found.model.initial_state(1))
    assert spikes.shape == (1, len(found.record.labels))
    assert len(state) == 8


def test_a_language_model_reads_its_tokens(tmp_path: Path) -> None:
    """Tokens stay integers, whatever the example calls them where the model has one input."""
    config = {"vocabulary": 8, "width": 8, "heads": 2, "neurons": 4, "layers": 1}
    tokens = torch.tensor([1, 7, 0])
    model = BDH(BDHConfig(**config))
    write_network(tmp_path, "bdh", model, record("bdh", model, config, example={"x": [3]}), {"x": tokens})
    found = load_trained("bdh", tmp_path)
    assert isinstance(found.model, BDH)
    assert found.model.config == BDHConfig(**config)
    assert [token.tolist() for (token,) in found.examples] == [[1], [7], [0]]


def _without_a_weight(tensors: dict[str, Any], document: dict[str, Any]) -> None:
    del tensors["e_x.weight"]


def _not_finite(tensors: dict[str, Any], document: dict[str, Any]) -> None:
    tensors["e_x.weight"][0, 0] = float("nan")


def _other_example(tensors: dict[str, Any], document: dict[str, Any]) -> None:
    tensors["example.x"] = tensors["example.x"][1:]


def _example_of_a_state(tensors: dict[str, Any], document: dict[str, Any]) -> None:
    tensors["example.h"] = torch.zeros(40, 1)
    document["example"]["h"] = [40, 1]


def _no_model(tensors: dict[str, Any], document: dict[str, Any]) -> None:
    document["model"] = "save_checkpoint"


def _other_size(tensors: dict[str, Any], document: dict[str, Any]) -> None:
    document["arguments"]["memory"] = 11


def _unknown_argument(tensors: dict[str, Any], document: dict[str, Any]) -> None:
    document["arguments"]["colour"] = {"red": 1}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_without_a_weight, "e_x.weight"),
        (_not_finite, "e_x.weight is not finite"),
        (_other_example, "its example has shapes"),
        (_example_of_a_state, "its example has shapes"),
        (_no_model, "no model 'save_checkpoint'"),
        (_other_size, "size mismatch for "),
        (_unknown_argument, "colour"),
    ],
)
def test_a_damaged_network_is_one_line(
    zoo: Path, tmp_path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None], reason: str
) -> None:
    """Weights, example and record that do not belong together are refused, with the reason and what to do."""
    tensors = safetensors.torch.load_file(zoo / "l2mu-har.safetensors")
    document = json.loads((zoo / "l2mu-har.json").read_text("utf-8"))
    change(tensors, document)
    safetensors.torch.save_file(tensors, tmp_path / "l2mu-har.safetensors")
    (tmp_path / "l2mu-har.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(InputError, match=r"holds no network that this version can make .*install it again") as error:
        load_trained("l2mu-har", tmp_path)
    assert reason in str(error.value)


def test_a_file_that_is_cut_off_is_one_line(zoo: Path, tmp_path: Path) -> None:
    """Half a download is no network."""
    for name in ("l2mu-har.json", "l2mu-har.safetensors"):
        (tmp_path / name).write_bytes((zoo / name).read_bytes())
    weights = tmp_path / "l2mu-har.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(InputError, match="holds no network"):
        load_trained("l2mu-har", tmp_path)


def test_a_network_without_its_weights_is_one_line(zoo: Path, tmp_path: Path) -> None:
    """A record alone is a package that is damaged, and is told to be installed again."""
    (tmp_path / "l2mu-har.json").write_bytes((zoo / "l2mu-har.json").read_bytes())
    with pytest.raises(InputError, match=r"l2mu-har\.safetensors, its weights, is missing; .*install it again"):
        load_trained("l2mu-har", tmp_path)
