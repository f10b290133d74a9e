"""NIR files that were changed, in their bytes and in their groups and parameters: inspected and exported."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np

from tests.hostile.attempts import attempt, warm
from tests.hostile.mutations import mutate
from tests.hostile.tally import Tally, run_alone

COUNT = 120
KINDS = (
    *("Input", "Output", "LIF", "CubaLIF", "IF", "LI", "I", "Linear", "Affine", "Conv1d", "Conv2d", "Flatten", "Delay"),
    *("SumPool2d", "AvgPool2d", "Scale", "Threshold", "NIRGraph", "Nosuch", "", "\x1b[31m", "zwei\nzeilen"),
)
ODD: tuple[Any, ...] = (
    *(
        0,
        -1,
        2**62,
        1e300,
        float("nan"),
        float("inf"),
        "text",
        b"\xff\xfe",
        np.zeros(0),
        np.ones(3),
        np.ones((8, 4), "c8"),
    ),
    *(np.array([2**62]), np.array([-4]), np.array([0]), np.ones((2, 2, 2)), np.array([b"a"] * 8), np.ones(8, bool)),
    *(np.ones(8, "f2"), np.zeros(8), np.full(8, 1e-320), np.array([1, 2]), np.zeros(8, [("a", "f4")])),
)
COMMANDS = (
    ["inspect", "net.nir"],
    ["export", "net.nir", "--dt", "1e-3", "-o", "made.onnx", "--check-ticks", "3"],
)
CHOICES = ("--nir", "input=held", "--nir", "reset=value", "--nir", "current=new")


def fuzz(count: int, seed: int) -> list[Tally]:
    """So many changed files through inspect and export, most of them with the choices that the file leaves open."""
    warm()
    random_ = random.Random(seed)
    tally = Tally("NIR files")
    with TemporaryDirectory(prefix="astroedge-fuzz-") as name:
        folder = Path(name)
        write(folder / "whole.nir")
        whole = (folder / "whole.nir").read_bytes()
        for number in range(count):
            path = folder / "net.nir"
            if random_.random() < 0.4:
                path.write_bytes(mutate(whole, random_))
            else:
                path.write_bytes(whole)
                with h5py.File(path, "r+") as file:
                    for _ in range(random_.choice((1, 1, 2, 3))):
                        change(file, random_)
            line = random_.choice(COMMANDS)
            line = [*line, *CHOICES] if line[0] == "export" and random_.random() < 0.8 else line
            tally.add(f"case {number} of seed {seed}: {line[0]}", attempt(line, folder))
            (folder / "made.onnx").unlink(missing_ok=True)
    return [tally]


def write(path: Path) -> None:
    """A layer of neurons behind an affine map and a nested graph with a scale."""
    one = np.ones(8, np.float32)
    with h5py.File(path, "w") as file:
        file["version"] = "1.0"
        graph = file.create_group("node")
        nodes = _graph(graph, [("input", "affine"), ("affine", "inner"), ("inner", "lif"), ("lif", "output")])
        _node(nodes, "input", "Input", shape=np.array([4]))
        _node(nodes, "affine", "Affine", weight=np.full((8, 4), 0.3, np.float32), bias=np.zeros(8, np.float32))
        _node(nodes, "lif", "LIF", tau=one * 0.02, r=one, v_leak=one * 0, v_threshold=one, v_reset=one * 0)
        _node(nodes, "output", "Output", shape=np.array([8]))
        inner = _graph(nodes.create_group("inner"), [("input", "scale"), ("scale", "output")])
        _node(inner, "input", "Input", shape=np.array([8]))
        _node(inner, "scale", "Scale", scale=one)
        _node(inner, "output", "Output", shape=np.array([8]))


def _graph(group: Any, edges: list[tuple[str, str]]) -> Any:
    group["type"] = "NIRGraph"
    group["edges"] = np.array(edges, dtype=h5py.string_dtype())
    return group.create_group("nodes")


def _node(nodes: Any, name: str, kind: str, **fields: np.ndarray) -> None:
    group = nodes.create_group(name)
    group["type"] = kind
    for key, value in fields.items():
        group[key] = value


def change(file: Any, random_: random.Random) -> None:
    """Replace, remove, link or add one thing anywhere in the file."""
    names: list[str] = []
    file.visit(names.append)
    name = random_.choice(names)
    parent, last = file[name].parent, name.rpartition("/")[2]
    kind = random_.randrange(8)
    if kind < 4:
        del parent[last]
        parent[last] = random_.choice(KINDS[:-3]) if last == "type" and kind < 3 else random_.choice(ODD)
    elif kind == 4:
        del parent[last]
    elif kind == 5:
        odd = random_.choice(("again", "a.b", "\x1b[31m", "zwei\nzeilen", "ß", "type", "x" * 3000, "input"))
        if odd not in parent:
            parent[odd] = random_.choice((file[name], h5py.SoftLink("/node"), *ODD))
    elif kind == 6:
        group = parent.require_group(f"node {random_.randrange(3)}")
        if "type" not in group:
            group["type"] = random_.choice(KINDS)
    else:
        edges = next(item for item in names if item.endswith("edges")) if "node/edges" not in names else "node/edges"
        ends = random_.choices(("input", "affine", "inner", "lif", "output", "none", ""), k=random_.randrange(12))
        del file[edges]
        file[edges] = np.array(ends, dtype=h5py.string_dtype())[: len(ends) // 2 * 2].reshape(-1, 2)


if __name__ == "__main__":
    run_alone(fuzz, COUNT)
