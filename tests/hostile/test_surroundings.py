"""What lies around a run does not run, and nothing leaves the machine: the working directory, HOME, the network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.v = nn.Linear(8, 256), 0.0

    def forward(self, x):
        self.v = 0.5 * self.v + self.fc(x)
        spikes = (self.v > 0.1).float()
        self.v = self.v - spikes
        return spikes

def net():
    torch.manual_seed(0)
    return Net().eval(), (torch.rand(1, 8),)
"""
COMMANDS = (
    ("export", "model.py:net", "-o", "net.onnx"),
    ("compile", "net.onnx", "-o", "net.astro"),
    ("verify", "net.astro", "--graph", "net.onnx", "--steps", "100"),
    ("eval", "net.astro", "--graph", "net.onnx", "--data", "x.npy", "--labels", "labels.npy"),
)
OTHERS = ("ziglang", "torch", "onnx", "onnxruntime", "numpy", "tvm")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with a model and data, and modules that leave a mark when they are imported."""
    import numpy as np

    (tmp_path / "model.py").write_text(MODEL)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((3, 20, 1, 8)).astype(np.float32))
    np.save(tmp_path / "labels.npy", np.array([1, 4, 2]))
    return tmp_path


def _run(folder: Path, *arguments: str, through: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """A command in the folder, which is HOME too."""
    program = Path(sys.executable).with_name("astroedge")
    unset = ("ORT_DISABLE_TELEMETRY", "PYTHONPATH")
    variables = {name: value for name, value in os.environ.items() if name not in unset}
    return subprocess.run(
        [*through, str(program), *arguments],
        cwd=folder,
        env=variables | {"HOME": str(folder)},
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.compiles
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_no_command_opens_a_socket_or_leaves_an_identity(folder: Path) -> None:
    """Export, compile, verify and eval ask no name server and connect to nothing; HOME stays empty."""
    before = {*folder.iterdir()}
    for number, command in enumerate(COMMANDS):
        trace = folder / f"trace.{number}"
        through = ("strace", "-f", "--seccomp-bpf", "-e", "trace=socket", "-o", str(trace))
        result = _run(folder, *command, through=through)
        assert result.returncode == 0, result.stderr
        calls = trace.read_text()
        assert "+++ exited with 0 +++" in calls
        assert "AF_INET" not in calls
        trace.unlink()
    made = {path.name for path in {*folder.iterdir()} - before} - {"__pycache__"}  # of model.py
    assert made == {"net.onnx", "net.astro"}


@pytest.mark.compiles
def test_modules_of_the_working_directory_do_not_run(folder: Path) -> None:
    """A file that has the name of a package is not imported, by commands that start helpers least of all."""
    assert _run(folder, *COMMANDS[0]).returncode == 0
    for name in OTHERS:
        (folder / f"{name}.py").write_text(
            f"open({str(folder / 'ran')!r}, 'a').write({name!r} + ' ')\nraise SystemExit\n"
        )
    for command in (COMMANDS[1], COMMANDS[2], ("doctor",)):
        result = _run(folder, *command)
        assert not (folder / "ran").exists(), (command, (folder / "ran").read_text())
        assert result.returncode == 0 or command == ("doctor",), result.stderr
