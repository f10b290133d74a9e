"""Exporting and compiling a large model takes a few times its weights, whatever is done to them on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

# Prints what export and compile add to the memory of the process, each as a multiple of the float32 weights: the most
# that it, or a process that it starts, ever holds, with all pages of mapped files.
PROGRAM = """
import json, resource, sys
import onnxruntime, torch, tvm
from pathlib import Path
import astroedge
from astroedge.workflows.compile_graph import compile_to

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.W = torch.nn.Linear(6000, 6000, bias=False).requires_grad_(False)
    def forward(self, x, v):
        s = (v > 1).float()
        return s, 0.5 * v * (1 - s) + self.W(s) + x

def most(who):
    return resource.getrusage(who).ru_maxrss * 1024

def reset():
    Path("/proc/self/clear_refs").write_text("5")

def now(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

folder, found = Path(sys.argv[1]), {}
small = torch.nn.Linear(4, 4)
astroedge.export(lambda x, v: (x + v, x + v), (torch.zeros(1, 4),), (torch.zeros(1, 4),), check_ticks=1)
before, net = now("VmRSS"), Net().eval()
weights = 4 * 6000**2
example = [((torch.rand(1, 6000) < 0.1).float() * 2,) for _ in range(2)]
graph = astroedge.export(net, example[0], (torch.zeros(1, 6000),), examples=example, check_ticks=2)
found["export"] = (max(most(resource.RUSAGE_CHILDREN), now("VmHWM")) - before) / weights
graph.save(folder / "net.onnx")
del net, graph
before = now("VmRSS")
reset()
compile_to(folder / "net.astro", folder / "net.onnx", precision="int8", check_ticks=2)
found["compile"] = (now("VmHWM") - before) / weights
print(json.dumps(found))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from Linux's /proc")
def test_export_and_compile_hold_weights_a_few_times(tmp_path: Path) -> None:
    """A model of 36 million weights takes under 3.5 times their size to export, and under 4 times to compile to int8.

    Among that are the model itself, the pages of mapped files, and what PyTorch, ONNX Runtime and LLVM need anyway.
    """
    done = subprocess.run([sys.executable, "-c", PROGRAM, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["export"] < 3.5, found
    assert found["compile"] < 4.0, found
