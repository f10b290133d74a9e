"""Checkpoints of an AstroSNN: a round trip, the same bytes each time, and clear refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch

from astroedge.errors import InputError
from astroedge.models import AstroSNN, AstroSNNConfig, load_checkpoint, save_checkpoint

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
