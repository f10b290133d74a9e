from __future__ import annotations

from pathlib import Path

import pytest

from astroedge.bundle.container import Bundle
from astroedge.runtimes import load
from astroedge.workflows.compile_matrix import make_variants
from tests.support.command import Command
from tests.support.graphs import recurrent_net

pytestmark = pytest.mark.compiles


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small graph in a file."""
    path = tmp_path_factory.mktemp("graph") / "net.onnx"
    recurrent_net().save(path)
    return path


def test_every_target_has_its_bundle_and_a_failure_keeps_none_back(
    astroedge_command: Command, graph: Path, tmp_path: Path
) -> None:
    """Two precisions of one graph are two bundles and one table; one that fails is named, and the other is written."""
    folder = tmp_path / "all"
    folder.mkdir()
    (folder / "net.int8.astro").write_text("not a bundle")
    result = astroedge_command("compile", graph, "--precision", "float32,int8", "-o", folder, "--jobs", "1")
    assert result.code == 50, result
    assert "1 of 2 bundles were not written" in result.err
    assert "native, int8: " in result.out
    assert result.out.count("5 event") == 1
    with load(folder / "net.float32.astro") as session:
        assert session.manifest.precision == "float32"
    assert (folder / "net.int8.astro").read_text() == "not a bundle"


def test_bundle_goes_beside_its_graph_when_nobody_says(
    astroedge_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without -o a bundle has its graph's name; quiet, nothing is said; verbose, an error has its traceback."""
    monkeypatch.chdir(tmp_path)
    recurrent_net().save("net.onnx")
    result = astroedge_command("compile", "net.onnx", "--quiet", "--check-ticks", "5")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert repr(Bundle.load("net.astro")).startswith("<Bundle recurrent_net for native, float32, ")
    failed = astroedge_command("compile", "none.onnx", "--verbose")
    assert "Traceback" in failed.err
    assert failed.err.splitlines()[-1].startswith("Error: Cannot read step graph")


def test_names_tell_apart_what_there_is_several_of(tmp_path: Path) -> None:
    """A name has the target where there are several, and the precision where there are several."""
    graph = tmp_path / "net.onnx"

    def names(targets: list[str], precisions: list[str]) -> list[str]:
        return [variant.output.name for variant in make_variants(graph, targets, precisions, tmp_path)]

    assert names(["native"], ["int8", "int4"]) == ["net.int8.astro", "net.int4.astro"]
    assert names(["cuda:sm_87", "native"], ["int8"]) == ["net.cuda-sm_87.astro", "net.native.astro"]
    assert names(["native", "raspberry-pi-5"], ["int8", "int4"])[-1] == "net.raspberry-pi-5.int4.astro"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--precision", "int8,int4", "--precision", "w=float32"], 2, "give it alone"),
        (["--precision", "int8,int3"], 40, "int3"),
        (["--jobs", "2"], 2, "--jobs is for several bundles"),
        (["-t", "native", "-t", "native"], 60, "would both be"),
        (["-t", "native", "-t", "rasberry-pi-4"], 30, "raspberry-pi-4"),
        (["-q", "-v"], 2, "exclude each other"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_compiled(
    astroedge_command: Command, graph: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    """Slips are told at once, and nothing is written."""
    result = astroedge_command("compile", graph, *arguments, "-o", tmp_path / "out")
    assert result.code == code
    assert message in result.err
    assert not (tmp_path / "out").exists()
