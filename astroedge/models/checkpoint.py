"""Checkpoints of an AstroSNN: one safetensors file, the configuration as JSON in its metadata.

The same model gives the same bytes: there is a single metadata entry, its keys are sorted, and safetensors orders
tensors by name.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError, safe_open

from astroedge.errors import InputError
from astroedge.models.astrosnn import AstroSNN, AstroSNNConfig
from astroedge.replace_file import replace_file

METADATA_KEY = "astroedge.model"
FORMAT_VERSION = 1


def save_checkpoint(model: AstroSNN, path: str | os.PathLike[str]) -> None:
    """Write `model`'s parameters, in their own dtypes, and its configuration; an older file is replaced whole.

    Raises OSError when `path` cannot be written.
    """
    record = {"model": "AstroSNN", "version": FORMAT_VERSION, "config": asdict(model.config)}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    replace_file(path, safetensors.torch.save(tensors, {METADATA_KEY: json.dumps(record, sort_keys=True)}))


def load_checkpoint(path: str | os.PathLike[str]) -> AstroSNN:
    """Read what `save_checkpoint` wrote: the model in evaluation mode, with float32 parameters, on the CPU.

    Raises InputError if there is no such file, or it is no checkpoint of an AstroSNN, or its tensors don't fit its
    configuration.
    """
    if not Path(path).is_file():
        raise InputError(f"There is no checkpoint {os.fspath(path)!r}; check the path, or train one first.")
    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads((file.metadata() or {})[METADATA_KEY])
            if (record["model"], record["version"]) != ("AstroSNN", FORMAT_VERSION):
                raise ValueError(f"it holds {record['model']!r}, version {record['version']!r}")
            model = AstroSNN(AstroSNNConfig(**record["config"]))
            model.load_state_dict({name: file.get_tensor(name).float() for name in file.keys()})  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{os.fspath(path)!r} is not a checkpoint of an AstroSNN that this version reads ({error}); "
            "it is probably damaged or was written by something else: train or copy it again."
        ) from error
    return model.eval()
