from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from astroedge.bundle.container import Bundle
from tests.conftest import Compiled
from tests.support.builds import build
from tests.support.command import Command
from tests.support.graphs import random_inputs, recurrent_net, token_net

Build = Callable[[str], Compiled]


@pytest.fixture
def labelled(compiled: Build, tmp_path: Path) -> tuple[Compiled, Path, Path]:
    """A compiled network, three sequences for it, and a class for each."""
    ticks = [random_inputs(recurrent_net(), 20, seed)["x"] for seed in range(3)]
    np.save(tmp_path / "x.npy", np.stack(ticks))
    np.save(tmp_path / "labels.npy", np.array([1, 4, 2]))
    return compiled("recurrent_net"), tmp_path / "x.npy", tmp_path / "labels.npy"


def test_accuracy_is_shown_beside_onnx_runtime(
    astroedge_command: Command, labelled: tuple[Compiled, Path, Path], tmp_path: Path
) -> None:
    """A line for each contender with precision, size and change; the rule of the readout; and all of it as JSON."""
    made, data, labels = labelled
    small = tmp_path / "small.astro"
    build(recurrent_net(), precision="int4").save(small)
    options = ("--graph", made.graph, "--data", data, "--labels", labels)
    result = astroedge_command("eval", made.bundle, small, *options, "--json", tmp_path / "e.json")
    assert result.code == 0, result.err
    assert "3 sequences" in result.out
    assert re.search(r"ONNX Runtime +float32 +– +– +[\d.]+ % +–", result.out)
    assert re.search(r"small.astro +int4 +[\d.]+ kB +[\d.]+ % +[\d.]+ % +[+-][\d.]+ points", result.out)
    assert "summed over the ticks" in result.out
    record = json.loads((tmp_path / "e.json").read_text())
    assert [item["name"] for item in record["contenders"]] == ["ONNX Runtime", "recurrent_net.astro", "small.astro"]
    assert record["contenders"][0]["metrics"] == record["contenders"][1]["metrics"]
    last = astroedge_command("eval", made.bundle, "--data", data, "--labels", labels, "--readout", "last")
    assert "in the last tick" in last.out


def test_classes_are_named(astroedge_command: Command, labelled: tuple[Compiled, Path, Path], tmp_path: Path) -> None:
    """Where bundles have names of classes, how much of each was found is shown, for sequences and for ticks."""
    made, data, labels = labelled
    named = tmp_path / "named.astro"
    names = [f"class {index}" for index in range(10)]
    Bundle.load(made.bundle).with_assets({"labels.txt": "\n".join(names).encode()}).save(named)
    line = ("eval", made.bundle, named, "--graph", made.graph, "--data", data, "--labels", labels)
    result = astroedge_command(*line, "--json", tmp_path / "e.json")
    record = json.loads((tmp_path / "e.json").read_text())
    found = {item["label"]: (item["counted"], item["right"]) for item in record["classes"]}
    assert list(found) == ["class 1", "class 2", "class 4"]
    assert {counted for counted, _ in found.values()} == {1}
    for index, item in enumerate(record["contenders"]):
        assert sum(right[index] for _, right in found.values()) == round(3 * item["metrics"]["accuracy"])
    assert re.search(r"class 4 +1 +[\d.]+ % +[\d.]+ % +[\d.]+ %", result.out)
    np.save(labels, np.arange(60).reshape(3, 20) % 7)
    assert len(re.findall(r"class \d +[89] ", astroedge_command(*line).out)) == 7
    Bundle.load(named).with_assets({"labels.txt": "\n".join(names[::-1]).encode()}).save(tmp_path / "other.astro")
    refused = astroedge_command("eval", named, tmp_path / "other.astro", "--data", data, "--labels", labels)
    assert refused.failed_with(60), refused


def test_text_is_measured_in_bits_per_byte(astroedge_command: Command, tmp_path: Path) -> None:
    """A text needs no labels; --json - prints JSON alone."""
    build(token_net(256)).save(tmp_path / "lm.astro")
    (tmp_path / "text.txt").write_text("spikes carry the text")
    shown = astroedge_command("eval", tmp_path / "lm.astro", "--data", tmp_path / "text.txt")
    assert "21 bytes" in shown.out
    assert "bits per byte" in shown.out
    printed = astroedge_command("eval", tmp_path / "lm.astro", "--data", tmp_path / "text.txt", "--json", "-")
    assert json.loads(printed.out)["counted"] == 21


def test_what_cannot_be_evaluated_is_one_line(
    astroedge_command: Command, labelled: tuple[Compiled, Path, Path], tmp_path: Path
) -> None:
    """No labels, a bundle twice, missing files and unknown models end with the code of their kind."""
    made, data, labels = labelled
    assert astroedge_command("eval", made.bundle, "--data", data).failed_with(60)
    twice = astroedge_command("eval", made.bundle, made.bundle, "--data", data, "--labels", labels)
    assert twice.failed_with(60), twice
    assert astroedge_command("eval", tmp_path / "no.astro", "--data", data, "--labels", labels).failed_with(50)
    assert astroedge_command("eval", made.bundle, "--data", tmp_path / "no.npy", "--labels", labels).failed_with(1)
    unknown = astroedge_command("eval", made.bundle, "--data", data, "--labels", labels, "--model", "nothing")
    assert unknown.failed_with(10), unknown
    assert astroedge_command("eval", "--data", data).code == 2
