"""A package `astroedge_zoo` with small untrained networks, for tests of what reads one."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from astroedge.models import ELM, L2MU
from astroedge.zoo_record import PACKAGE

LABELS = ["standing", "running", "walking"]


def record(name: str, model: nn.Module, arguments: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A record in full, with a member of its own in place of each of `changes`."""
    state_bytes = sum(4 * item.numel() for item in model.initial_state(1))  # type: ignore[operator]
    return {
        **{"format": 1, "name": name, "title": "L²MU", "paper": "2407.04076", "confirmed": "Read in code."},
        **{"task": "activity from a wrist sensor", "data": "BasicMotions", "labels": LABELS},
        **{"model": type(model).__name__, "arguments": arguments, "readout": "sum", "metric": "accuracy"},
        "example": {"x": [40, 6]},
        "seeds": {"results": [0.9, 0.925, 0.95], "mean": 0.925, "spread": 0.025, "kept": 1},
        "training": {"command": "train.py", "seconds": 12.5, "machine": "a CPU", "versions": {"torch": "2.13"}},
        "precisions": {"float32": {"result": 0.925, "bytes": 4000}, "int8": {"result": 0.9, "bytes": 1200}},
        "step": {
            "weights": sum(item.numel() for item in model.state_dict().values()),
            **{"state_bytes": state_bytes, "microseconds": 12.34, "firing_rates": {"u.spike": 0.021, "m.spike": 0.12}},
            **{"synops": 512.5, "macs": 1024},
        },
        "baselines": {"1-NN DTW": 0.95},
        **changes,
    }


def write_network(
    folder: Path, name: str, model: nn.Module, document: Mapping[str, Any], example: Mapping[str, Tensor]
) -> None:
    """A network's two files; the record as it is given, right or wrong."""
    tensors = {key: value.half() if value.is_floating_point() else value for key, value in model.state_dict().items()}
    tensors |= {f"example.{key}": value for key, value in example.items()}
    tensors = {key: value.contiguous() for key, value in tensors.items()}
    safetensors.torch.save_file(tensors, folder / f"{name}.safetensors")
    (folder / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")


def find_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the package in a folder found before one that is installed, for a test."""
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    monkeypatch.syspath_prepend(folder)


def write_zoo(place: Path) -> Path:
    """The package in a folder that can be imported from: two networks of one task, and one that spells nothing."""
    folder = place / "astroedge_zoo"
    folder.mkdir()
    (folder / "__init__.py").write_text("", encoding="utf-8")
    torch.manual_seed(4)
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(4))
    arguments: dict[str, Any] = {"widths": [6, 8, 3], "memory": 10, "order": 2}
    for name, synaptic in (("l2mu-har", False), ("l2mu-har-synaptic", True)):
        model = L2MU(**arguments, synaptic=synaptic)
        write_network(folder, name, model, record(name, model, {**arguments, "synaptic": synaptic}), {"x": x})
    arguments = {"inputs": 6, "outputs": 2, "memories": 8, "branches": 3, "synapses": 2}
    neuron = ELM(**arguments)
    silent = {**record("", neuron, {})["step"], "firing_rates": {}}
    changes = {"task": "bits", "labels": [], "metric": "bits per byte", "readout": "tick", "step": silent}
    write_network(folder, "elm-bits", neuron, record("elm-bits", neuron, arguments, **changes), {"x": x})
    return folder
