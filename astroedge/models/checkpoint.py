"""Checkpoints of an AstroSNN: one safetensors file, the configuration as JSON in its metadata.

A tensor `example.token` holds the tokens of successive ticks, of what the model was trained on; it may be missing. The
same model gives the same bytes: there is a single metadata entry, its keys are sorted, and safetensors orders tensors
by name.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from astroedge.errors import InputError
from astroedge.models.astrosnn import AstroSNN, AstroSNNConfig
from astroedge.replace_file import replace_file

METADATA_KEY = "astroedge.model"
EXAMPLE = "example.token"
FORMAT_VERSION = 1


def save_checkpoint(model: AstroSNN, path: str | os.PathLike[str], example: Tensor | None = None) -> None:
    """Write `model`'s parameters, in their own dtypes, and its configuration; an older file is replaced whole.

    `example` are tokens (T,) of successive ticks, integers: firing rates are measured on them when the checkpoint is
    exported, and int4 weights rounded by them when that is compiled. Raises OSError when `path` cannot be written.
    """
    record = {"model": "AstroSNN", "version": FORMAT_VERSION, "config": asdict(model.config)}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    if example is not None:
        tensors[EXAMPLE] = example.cpu().contiguous()
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
            model.load_state_dict({name: file.get_tensor(name).float() for name in file.keys() if name != EXAMPLE})  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{os.fspath(path)!r} is not a checkpoint of an AstroSNN that this version reads ({error}); "
            "it is probably damaged or was written by something else: train or copy it again."
        ) from error
    return model.eval()


def load_example(path: str | os.PathLike[str]) -> Tensor | None:
    """The tokens (T,) that a checkpoint, which `load_checkpoint` reads, holds as its example, int64; None without one.

    Raises InputError for an example that is no row of tokens of the model's vocabulary.
    """
    with safe_open(path, framework="pt") as file:
        if EXAMPLE not in file.keys():  # noqa: SIM118
            return None
        tokens: Tensor = file.get_tensor(EXAMPLE)
        vocabulary = json.loads(file.metadata()[METADATA_KEY])["config"]["vocabulary"]
    wrong = tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool
    if tokens.ndim != 1 or not len(tokens) or wrong:
        raise InputError(f"The example of {os.fspath(path)!r} is no row of tokens; write the checkpoint again.")
    tokens = tokens.long()
    if not 0 <= int(tokens.min()) <= int(tokens.max()) < vocabulary:
        raise InputError(
            f"The example of {os.fspath(path)!r} has tokens beyond the model's {vocabulary}; write it again."
        )
    return tokens
