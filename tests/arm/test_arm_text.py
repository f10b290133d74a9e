"""The choice of tokens on ARM processors: a seed gives the same text as on this machine."""

from __future__ import annotations

import subprocess
import sys

from tests.support.arm_root import ArmRoot
from tests.support.places import ROOT

CHOICES = """
import numpy as np
from hashlib import sha256
from astroedge.runtimes.generation.sampling import Sampling, draw, exponential
numbers = np.random.Generator(np.random.PCG64(1))
scores = numbers.integers(-2000, 2000, (40, 300)) / np.float32(128)
seen = np.arange(300) % 3 == 0
for sampling in (Sampling(), Sampling(1.3, top_p=0.9), Sampling(0.7, 50, min_p=0.01, repetition_penalty=1.1)):
    rng = np.random.Generator(np.random.PCG64(sampling.top_k or 0))
    print(*(draw(row, sampling, rng, seen) for row in scores))
print(sha256(exponential(-np.linspace(0, 710, 10_001)).astype("<f8").tobytes()).hexdigest())
"""


def test_the_same_tokens_are_chosen(root: ArmRoot) -> None:
    """Draws by every rule, and the exponential bit for bit."""
    command = [sys.executable, "-c", CHOICES]
    here = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert len(set(here.split())) > 60
    there = root.run(root.python, "-c", CHOICES)
    assert (there.stdout, there.stderr) == (here, "")
