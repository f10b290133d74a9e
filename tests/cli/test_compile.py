from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from astroedge.bundle.container import Bundle
from astroedge.errors import BundleError
from astroedge.runtimes import load
from astroedge.step.graph import StepGraph
from astroedge.step.spec import SpikeSpec, StateSpec, StepSpec, TensorSpec
from tests.conftest import Compiled
from tests.support.command import Command
from tests.support.executables import call, kept_runtime
from tests.support.graphs import build, lif_layer, random_inputs, recurrent_net
from tests.support.small_disk import small_disk

Build = Callable[[str], Compiled]
pytestmark = pytest.mark.compiles


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small graph in a file."""
    path = tmp_path_factory.mktemp("graph") / "net.onnx"
    recurrent_net().save(path)
    return path


def test_bundle_is_written_with_its_kernels_explained(astroedge_command: Command, graph: Path, tmp_path: Path) -> None:
    """The command says what it does, which kernels it chose and what to type next; the bundle runs."""
    target = tmp_path / "net.astro"
    result = astroedge_command("compile", graph, "--target", "native", "-o", target)
    assert result.code == 0
    assert "Matrices: 5 event." in result.out
    assert f"Next: astroedge verify {target}" in result.out
    assert result.err.startswith("… compiling recurrent_net for native")
    with load(target) as session:
        assert session.run(x=random_inputs(recurrent_net(), 20)["x"])["y"].any()


def test_spikes_that_no_kernel_skips_are_noted(astroedge_command: Command, tmp_path: Path) -> None:
    """A product of two computed matrices that reads spikes is named with the reason, in one line."""
    spec = StepSpec(
        inputs=(TensorSpec("u", (64, 64), "float32"),),
        outputs=(TensorSpec("y", (64, 64), "float32"),),
        states=(StateSpec("old", (64, 64), "float32"),),
        spikes=(SpikeSpec("spike", "fired", (64, 64), 0.05),),
    )
    nodes = [
        onnx.helper.make_node("Greater", ["u", "one"], ["fired"]),
        onnx.helper.make_node("Cast", ["fired"], ["z"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("MatMul", ["z", "state.old"], ["y"]),
        onnx.helper.make_node("Identity", ["u"], ["next.old"]),
    ]
    source = tmp_path / "net.onnx"
    build("matrices", spec, nodes, {"one": np.float32(1)}).save(source)
    result = astroedge_command("compile", source, "-o", tmp_path / "net.astro")
    assert result.code == 0
    (note,) = [line for line in result.out.splitlines() if line.startswith("Note: ")]
    assert note.startswith("Note: matrix 'old' multiplies all its inputs: spike fires at 5.0%, but ")


def test_options_reach_the_compiler(astroedge_command: Command, graph: Path, tmp_path: Path) -> None:
    """A board, fast math, one kind of kernel, probes and what is accepted are all in the manifest."""
    target = tmp_path / "net.astro"
    options = ("--target", "raspberry-pi-4", "--math", "fast", "--kernels", "dense", "--probes")
    options += ("--tolerance", "2e-4", "--allow-flips", "3", "--check-ticks", "7")
    assert astroedge_command("compile", graph, *options, "-o", target).code == 0
    manifest = Bundle.load(target).manifest
    assert (manifest.target.name, manifest.math, manifest.probes) == ("raspberry-pi-4", "fast", True)
    assert {matrix.kernel for matrix in manifest.matrices} == {"dense"}
    parity = manifest.golden.parity
    assert (parity["tolerance"], parity["allow_flips"], parity["ticks"]) == (2e-4, 3, 7)


def test_a_tolerance_that_is_none_is_refused(astroedge_command: Command, graph: Path, tmp_path: Path) -> None:
    """Accepting every difference is one line, code 60, before anything is compiled."""
    result = astroedge_command("compile", graph, "--tolerance", "2", "-o", tmp_path / "net.astro")
    assert result.failed_with(60), result
    assert "above 0 and below 1" in result.err
    assert list(tmp_path.iterdir()) == []


def test_unknown_target_names_the_nearest(astroedge_command: Command, graph: Path, tmp_path: Path) -> None:
    """A misspelt board is one line, code 30, nothing written."""
    result = astroedge_command("compile", graph, "--target", "rasberry-pi4", "-o", tmp_path / "net.astro")
    assert result.failed_with(30), result
    assert "did you mean 'raspberry-pi-4'?" in result.err
    assert list(tmp_path.iterdir()) == []


def test_state_pair_that_does_not_match_is_refused(astroedge_command: Command, tmp_path: Path) -> None:
    """A next state of another shape than its state is one line, code 20, nothing written."""
    source = tmp_path / "net.onnx"
    lif_layer().save(source)
    model = onnx.load(source)
    model.graph.output[1].type.tensor_type.shape.dim[1].dim_value += 1
    onnx.save(model, source)
    result = astroedge_command("compile", source, "-o", tmp_path / "net.astro")
    assert result.failed_with(20), result
    assert "next.v" in result.err
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("content", [None, b"", b"no graph at all", b"\x08\x0a\x12\x04junk"])
def test_file_that_is_no_graph_is_refused(astroedge_command: Command, tmp_path: Path, content: bytes | None) -> None:
    """A missing or damaged file is one line, code 20."""
    source = tmp_path / "net.onnx"
    if content is not None:
        source.write_bytes(content)
    result = astroedge_command("compile", source, "-o", tmp_path / "net.astro")
    assert result.failed_with(20), result
    assert not (tmp_path / "net.astro").exists()


def test_foreign_folder_is_never_overwritten(astroedge_command: Command, graph: Path, tmp_path: Path) -> None:
    """A folder that holds something else is refused before anything is compiled, and left as it is."""
    (tmp_path / "thesis.txt").write_text("ten years")
    result = astroedge_command("compile", graph, "-o", tmp_path)
    assert result.failed_with(50), result
    assert "thesis.txt" in result.err
    assert "compiling" not in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_older_bundle_is_replaced(astroedge_command: Command, compiled: Build, graph: Path, tmp_path: Path) -> None:
    """Compiling onto a bundle leaves the new one and no file of the old."""
    target = tmp_path / "net.astro"
    shutil.copytree(compiled("token_net:256").bundle, target)
    assert astroedge_command("compile", graph, "-o", target).code == 0
    assert Bundle.load(target).manifest.model == "recurrent_net"
    assert len(list(target.iterdir())) == 3


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB, which a test fills up."""
    with small_disk(tmp_path / "disk", "256k") as folder:
        yield folder


def test_full_disk_leaves_the_old_bundle(astroedge_command: Command, graph: Path, disk: Path) -> None:
    """When the new bundle does not fit, the old one is whole and nothing else is left behind."""
    target = disk / "net.astro"
    assert astroedge_command("compile", graph, "-o", target).code == 0
    (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - 8192))
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    result = astroedge_command("compile", graph, "--kernels", "dense", "-o", target)
    assert result.failed_with(50), result
    assert "No space left on device" in result.err
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    assert astroedge_command("verify", target).code == 0


def test_full_disk_leaves_the_old_bundle_with_its_reference(
    astroedge_command: Command, graph: Path, disk: Path
) -> None:
    """Bundle and dequantised graph are replaced as a pair, whichever of them finds no room."""
    target = disk / "net.astro"
    assert astroedge_command("compile", graph, "--precision", "int8", "-o", target).code == 0
    before = {path: path.read_bytes() for path in disk.rglob("*") if path.is_file()}
    free = shutil.disk_usage(disk).free
    for left, code in ((1000, 20), (len(before[disk / "net.dequantised.onnx"]) + 8192, 50)):
        (disk / "filler").write_bytes(bytes(free - left))
        result = astroedge_command("compile", graph, "--precision", "int4", "-o", target)
        (disk / "filler").unlink()
        assert result.failed_with(code), result
        assert "No space left on device" in result.err
        assert {path: path.read_bytes() for path in disk.rglob("*") if path.is_file()} == before
    assert astroedge_command("verify", target, "--graph", disk / "net.dequantised.onnx").code == 0


def test_output_in_a_missing_folder_is_one_line(astroedge_command: Command, graph: Path, tmp_path: Path) -> None:
    """The folder above the bundle has to be there."""
    result = astroedge_command("compile", graph, "-o", tmp_path / "none" / "net.astro")
    assert result.failed_with(50), result
    assert list(tmp_path.iterdir()) == []


def test_compiled_bits_do_not_depend_on_the_kernels(astroedge_command: Command, graph: Path, tmp_path: Path) -> None:
    """Event-driven and dense builds give the same golden trace."""
    for kernels in ("event", "dense"):
        assert astroedge_command("compile", graph, "--kernels", kernels, "-o", tmp_path / kernels).code == 0
    traces = [Bundle.load(tmp_path / kernels).manifest.golden.ticks for kernels in ("event", "dense")]
    assert [item.outputs for item in traces[0]] == [item.outputs for item in traces[1]]
    assert np.unique([item.outputs for item in traces[0]]).size > 1


def test_weights_in_fewer_bits_come_with_their_exact_reference(
    astroedge_command: Command, graph: Path, tmp_path: Path
) -> None:
    """The graph with dequantised weights lies beside the bundle, and verify takes it or the graph that was compiled."""
    target, reference = tmp_path / "net.astro", tmp_path / "net.dequantised.onnx"
    options = ("--precision", "int8", "--precision", "layers.1*=int4", "--precision", "W_out=float32")
    result = astroedge_command("compile", graph, *options, "-o", target)
    assert result.code == 0, result.err
    assert f"Wrote {reference}, the step's exact reference." in result.out
    assert "in float32." in result.out
    manifest = Bundle.load(target).manifest
    stored = {record.name: record.precision for record in manifest.stored}
    assert stored == {
        "layers.0.W": "int8", "layers.0.R": "int8", "layers.1.W": "int4", "layers.1.R": "int4", "W_out": "float32",
    }  # fmt: skip
    assert manifest.precision == "int8, layers.1*=int4, W_out=float32"
    assert manifest.graph_sha256 == StepGraph.load(graph).digest
    assert manifest.dequantised_sha256 == StepGraph.load(reference).digest
    for given in (graph, reference):
        verified = astroedge_command("verify", target, "--graph", given, "--steps", "50")
        assert verified.code == 0, verified.err
        assert "forced over 50 ticks" in verified.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--precision", "int5"), "'int5' is not one of float32, float16, int8, int4"),
        (("--precision", "layer.0*=int8"), "matches no weight"),
        (("--precision", "int8", "--precision", "int4"), "int8 and int4 for all weights"),
    ],
)
def test_precision_that_means_nothing_is_refused(
    astroedge_command: Command, graph: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    """An unknown precision, a pattern without a weight and a contradiction are one line, code 40, nothing written."""
    result = astroedge_command("compile", graph, *options, "-o", tmp_path / "net.astro")
    assert result.failed_with(40), result
    assert message in result.err
    assert list(tmp_path.iterdir()) == []


def test_a_program_is_written_from_a_graph_and_from_a_bundle(
    astroedge_command: Command, graph: Path, tmp_path: Path
) -> None:
    """--emit executable writes a program that verifies itself; of the bundle of the same graph it is the same."""
    with kept_runtime():
        result = astroedge_command("compile", graph, "--emit", "executable", "-o", tmp_path / "net")
    assert result.code == 0, result.err
    assert f"Wrote {tmp_path / 'net'}, a program for native, " in result.out
    assert call(tmp_path / "net", "verify").stdout == b"recurrent_net for native: all 4 golden ticks agree\n"
    assert astroedge_command("compile", graph, "-o", tmp_path / "net.astro").code == 0
    with kept_runtime():
        result = astroedge_command("compile", tmp_path / "net.astro", "--emit", "executable", "-o", tmp_path / "again")
    assert result.code == 0, result.err
    assert (tmp_path / "again").read_bytes() == (tmp_path / "net").read_bytes()


def test_options_of_compiling_are_refused_for_a_bundle(astroedge_command: Command, tmp_path: Path) -> None:
    """A bundle is compiled already: what tells how to compile is wrong usage, and a folder that is none is told."""
    result = astroedge_command(
        "compile", tmp_path, "--emit", "executable", "-o", tmp_path / "net", "--precision", "int8"
    )
    assert result.code == 2
    assert "--precision is for graphs; a bundle is compiled already." in result.err
    result = astroedge_command("compile", tmp_path, "--emit", "executable", "-o", tmp_path / "net")
    assert result.code == BundleError.exit_code
    assert "is no bundle" in result.err
