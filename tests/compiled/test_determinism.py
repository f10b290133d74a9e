"""Compiling is a function: the same graph, target and options give the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import astroedge
from astroedge.bundle.container import Bundle
from tests.support import graphs
from tests.support.places import ROOT

TARGETS = {"native": "float32", "raspberry-pi-4": "int8, layers.1*=int4, W_out=float16"}
COMPILE = """
import sys
import astroedge
graph, folder, *targets = sys.argv[1:]
for target, precision in zip(targets[::2], targets[1::2]):
    astroedge.compile(graph, target, precision=precision).save(f"{folder}/{target}.astro")
"""


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its path in there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_processes_write_the_same_bundles(tmp_path: Path) -> None:
    """Another process, with other hash seeds and nothing cached, writes the same files; golden traces are in them."""
    graph, here, there = tmp_path / "net.onnx", tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    graphs.recurrent_net().save(graph)
    for target, precision in TARGETS.items():
        astroedge.compile(graph, target, precision=precision).save(here / f"{target}.astro")
    arguments = [word for item in TARGETS.items() for word in item]
    command = [sys.executable, "-c", COMPILE, str(graph), str(there), *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    first, second = content(here), content(there)
    assert [name for name in first if first[name] != second.get(name)] == []
    assert first.keys() == second.keys()
    for target in TARGETS:
        assert len(Bundle.load(here / f"{target}.astro").manifest.golden.ticks) == 4
