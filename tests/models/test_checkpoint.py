"""Checkpoints of an AstroSNN: a round trip, the same bytes each time, and clear refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch

from astroedge.errors import InputError
from astroedge.models import AstroSNN, AstroSNNConfig, load_checkpoint, save_checkpoint
from astroedge.models.checkpoint import load_example

CONFIG = AstroSNNConfig(vocabulary=11, width=8, heads=2, feed_forward=12, layers=1, theta_s=1.5)


def small_model() -> AstroSNN:
    """A tiny network with fixed random weights."""
    torch.manual_seed(3)
    return AstroSNN(CONFIG)


def test_a_checkpoint_comes_back_whole(tmp_path: Path) -> None:
    """Configuration and every parameter are read back equal, in evaluation mode."""
    model = small_model()
    save_checkpoint(model, tmp_path / "a.safetensors")
    loaded = load_checkpoint(tmp_path / "a.safetensors")
    assert loaded.config == CONFIG
    assert not loaded.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    """Two saves are byte-identical, and nothing else is left in the folder."""
    for name in ("a", "b"):
        save_checkpoint(small_model(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_half_precision_weights_are_read_as_float32(tmp_path: Path) -> None:
    """A model saved in float16 is loaded in float32 with exactly the rounded weights."""
    model = small_model().half()
    save_checkpoint(model, tmp_path / "half.safetensors")
    loaded = load_checkpoint(tmp_path / "half.safetensors")
    for name, tensor in model.state_dict().items():
        assert loaded.state_dict()[name].dtype == torch.float32
        assert torch.equal(loaded.state_dict()[name], tensor.float()), name


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    """A missing, cut, foreign or mismatched file raises InputError with the path in its message."""
    save_checkpoint(small_model(), tmp_path / "good")
    data = (tmp_path / "good").read_bytes()
    (tmp_path / "cut").write_bytes(data[: len(data) // 2])
    (tmp_path / "mismatched").write_bytes(data.replace(b'\\"feed_forward\\": 12', b'\\"feed_forward\\": 16'))
    safetensors.torch.save_file({"weight": torch.zeros(2)}, tmp_path / "foreign")
    for name in ("missing", "cut", "mismatched", "foreign"):
        with pytest.raises(InputError, match=name):
            load_checkpoint(tmp_path / name)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.uint16, torch.uint32, torch.int64])
def test_a_checkpoint_may_hold_an_example(dtype: torch.dtype, tmp_path: Path) -> None:
    """Its tokens come back as int64 whatever they are stored in; the model is the same with them and without."""
    save_checkpoint(small_model(), tmp_path / "with", torch.arange(11).to(dtype))
    save_checkpoint(small_model(), tmp_path / "without")
    example = load_example(tmp_path / "with")
    assert example is not None
    assert (example.dtype, example.tolist()) == (torch.int64, list(range(11)))
    assert load_example(tmp_path / "without") is None
    weights = [load_checkpoint(tmp_path / name).state_dict() for name in ("with", "without")]
    assert all(torch.equal(weights[0][name], tensor) for name, tensor in weights[1].items())


@pytest.mark.parametrize(
    "example",
    [torch.tensor([3, 11]), torch.tensor([-1]), torch.zeros(3), torch.zeros(2, 2).long(), torch.zeros(3).bool()],
)
def test_an_example_that_is_no_row_of_tokens_is_refused(example: torch.Tensor, tmp_path: Path) -> None:
    """Tokens beyond the vocabulary, fractions, truth and other shapes name the file."""
    save_checkpoint(small_model(), tmp_path / "odd", example)
    with pytest.raises(InputError, match=r"example of .*odd"):
        load_example(tmp_path / "odd")
