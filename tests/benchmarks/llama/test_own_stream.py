"""A bundle stepped in a process of its own: what it kept after some tokens, and what is in the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import astroedge
from astroedge.models import AstroSNN, AstroSNNConfig, AstroSNNStep
from benchmarks.llama.own_stream import start
from benchmarks.llama.prepare import OWN
from benchmarks.llama.token_work import TokenWork
from benchmarks.processes.stream import open_stream

VOCABULARY = 64


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny AstroSNN, compiled."""
    torch.manual_seed(0)
    step = AstroSNNStep(AstroSNN(AstroSNNConfig(VOCABULARY, 32, 2, 64, 1)))
    path = tmp_path_factory.mktemp("own") / "tiny.astro"
    graph = astroedge.export(step, (torch.tensor([3]),), step.initial_state())
    astroedge.compile(graph).save(path)
    return str(path)


def test_a_stream_goes_on_from_what_another_kept(bundle: str, tmp_path: Path) -> None:
    """After the same tokens logits are the same bits, from a file and in one go; another process counts its spikes."""
    kept, token = tmp_path / "40.state", [np.array([5])]
    whole = start(TokenWork(bundle, 1, 40, batch=16))
    whole.fill({40: str(kept)})
    expected = whole(token).copy()
    with open_stream("own", OWN, TokenWork(bundle, 1, 40, str(kept))) as stream:
        assert (stream.tick({"token": token[0]}) == expected).all()
        facts, memory = stream.ask("facts"), stream.memory()
    assert facts["threads"] == 1
    assert set(facts["firing_rates"]) == {item.name for item in astroedge.load(bundle).manifest.activity}
    assert 0 < memory["resident"] <= memory["peak"]


def test_nothing_but_the_runtime_is_in_the_process() -> None:
    """The memory that is compared is that of NumPy and the runtime: PyTorch alone would be ten times as much."""
    code = (
        "import sys, benchmarks.processes.worker, benchmarks.llama.own_stream, astroedge; astroedge.load;"
        "print({'torch', 'onnx', 'onnxruntime', 'tvm', 'matplotlib'} & set(sys.modules))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "set()"
