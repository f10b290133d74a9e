from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from onnx import numpy_helper

from astroedge.step.graph import StepGraph
from astroedge.targets import link_bundle
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.compiler.pipeline import CompiledStep
from astroedge.targets.cuda.device_code import DeviceCode, Image
from tests.conftest import Compiled
from tests.support.builds import build
from tests.support.bundles import tiny_manifest, weights_bytes
from tests.support.command import Command
from tests.support.graphs import lif_layer

Build = Callable[[str], Compiled]


def test_graph_shows_its_contract(astroedge_command: Command, compiled: Build) -> None:
    """States, shapes, sizes, spikes with rates, operators and the digest of a graph are shown."""
    result = astroedge_command("inspect", compiled("recurrent_net").graph)
    assert result.code == 0
    for text in ("layers.1.v", "1 × 36", "144 B", "layers.0.spike", "15 %", "MatMul × 3", "SHA-256: "):
        assert text in result.out, text


def test_bundle_shows_what_was_decided(astroedge_command: Command, compiled: Build) -> None:
    """Target, kernel of every matrix and why, memory, golden trace and digests of a bundle are shown."""
    result = astroedge_command("inspect", compiled("recurrent_net").bundle)
    assert result.code == 0
    for text in (
        "for native",
        "layers.0.R",
        "event",
        "fires at 15.0%",
        "workspace",
        "ticks 1, 10, 100, 1000",
        "SHA-256",
    ):
        assert text in result.out, text


def test_bundle_shows_what_its_weights_are_stored_as(astroedge_command: Command, tmp_path: Path) -> None:
    """Precision and size of every weight, of the file beside float32's, and why a weight was left as it was."""
    build(lif_layer(inputs=300, neurons=40), precision="int8").save(tmp_path / "wide.astro")
    shown = astroedge_command("inspect", tmp_path / "wide.astro").out
    assert re.search(r"Weights int8: 12\.\d kB, 2\d\.\d % of 48\.\d kB in float32\.", shown)
    assert re.search(r"W +300 × 40 +event .* 12.2 kB int8", shown)
    assert re.search(r"W +300 × 40 +int8 +12.2 kB", shown)
    build(lif_layer(inputs=1), precision="int8").save(tmp_path / "narrow.astro")
    shown = astroedge_command("inspect", tmp_path / "narrow.astro").out
    assert "Weights float32: " in shown
    assert "int8 was asked for, but its scales would take more room than that saves" in shown


def test_bundle_names_pruned_matrices(astroedge_command: Command, tmp_path: Path) -> None:
    """One line has the share of zeros of each matrix that is mostly zeros, and whether they are left out."""
    graph = lif_layer(inputs=64, neurons=50)
    for tensor in graph.model.graph.initializer:
        if tensor.name == "W":
            weights = numpy_helper.to_array(tensor).copy()
            weights[:48] = 0
            weights[48:] = 0.5
            tensor.CopyFrom(numpy_helper.from_array(weights, "W"))
    for kernels, left_out in (("pruned", " left out"), ("event", "")):
        path = tmp_path / f"{kernels}.astro"
        build(StepGraph(graph.model, graph.spec), kernels=kernels).save(path)
        shown = " ".join(astroedge_command("inspect", path).out.split())
        assert f"Zeros among the weights: W 75 %{left_out}." in shown
    assert "Zeros" not in astroedge_command("inspect", _whole(tmp_path)).out


def _whole(folder: Path) -> Path:
    """A bundle without zeros among its weights."""
    build(lif_layer()).save(folder / "whole.astro")
    return folder / "whole.astro"


def test_json_holds_everything(astroedge_command: Command, compiled: Build, tmp_path: Path) -> None:
    """Of a bundle the manifest, of a graph its description, to a file or to standard output."""
    made = compiled("recurrent_net")
    printed = json.loads(astroedge_command("inspect", made.bundle, "--json", "-").out)
    assert printed["kind"] == "bundle"
    stored = json.loads((made.bundle / "manifest.json").read_text())
    assert printed["manifest"] == {key: value for key, value in stored.items() if key != "digest"}
    result = astroedge_command("inspect", made.graph, "--json", tmp_path / "graph.json")
    assert (result.code, result.out) == (0, "")
    record = json.loads((tmp_path / "graph.json").read_text())
    assert record["step"]["states"][0]["name"] == "layers.0.v"
    assert record["sha256"] == printed["manifest"]["graph_sha256"]
    assert record["operators"]["MatMul"] == 3


def test_what_is_neither_is_one_line(astroedge_command: Command, tmp_path: Path) -> None:
    """A folder without a manifest is no bundle, a missing file no graph."""
    assert astroedge_command("inspect", tmp_path).failed_with(50)
    assert astroedge_command("inspect", tmp_path / "none.onnx").failed_with(20)


def test_bundle_shows_a_gpus_code(astroedge_command: Command, tmp_path: Path) -> None:
    """How the kernel is launched, and for which chips each image is; no driver is needed but for running it."""
    cubins = (Image(72, "cubin", bytes(2000)), Image(86, "cubin", bytes(3000)))
    images = (*cubins, Image(72, "ptx", b".version 7.4\n\0"))
    code = DeviceCode("astroedge_run", 128, 24, 13, images, "a wait is estimated at 1.5 µs")
    native = resolve_target("native")
    step = CompiledStep(b"", None, weights_bytes(), tiny_manifest(native), device=code)
    link_bundle(step, native).save(tmp_path / "gpu.astro")
    shown = astroedge_command("inspect", tmp_path / "gpu.astro").out
    assert "up to 24 blocks of 128 threads, which wait for each other 13 times a tick." in " ".join(shown.split())
    assert "Why so often: a wait is estimated at 1.5 µs" in " ".join(shown.split())
    for line in (
        r"7\.2 +cubin +2\.0 kB +7\.2 alone, as a Jetson's code does",
        r"8\.6 +cubin +3\.0 kB +those from 8\.6 to 8\.9 that are no Jetsons",
        r"7\.2 +ptx +14 B +those from 7\.2 on",
    ):
        assert re.search(line, shown), line
    for command in ("verify", "profile", "run"):
        result = astroedge_command(command, tmp_path / "gpu.astro", "--device", "99")
        assert (result.code, len(result.err.splitlines())) in ((51, 1), (60, 1)), result.err  # no driver, no such GPU
