"""Commands on boards, through a real SSH server on the loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import GoldenTick
from astroedge.errors import MissingDependencyError
from astroedge.runtimes import load
from astroedge.runtimes.profiling.raster import profile_raster
from astroedge.runtimes.remote.answer import refuse_missing
from astroedge.step_profile import Profile
from astroedge.strict_json import schema
from astroedge.targets.boards.target import resolve_target
from tests.conftest import Compiled
from tests.support.arm_board import MODEL, arm_shell
from tests.support.arm_root import NoArmRootError
from tests.support.builds import build
from tests.support.bundles import TINY_TICK, draw_ticks, make_bundle, make_tiny_bundle, tiny_manifest, weights_bytes
from tests.support.command import Command
from tests.support.graphs import random_inputs, recurrent_net, token_net
from tests.support.places import ROOT
from tests.support.ssh_boards import SshBoards, python_tools
from tests.support.tiny_tokenizer import byte_level

Build = Callable[[str], Compiled]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle for this machine's boards, with an asset."""
    folder = tmp_path_factory.mktemp("tiny") / "tiny.astro"
    make_tiny_bundle("x86-64-v2", assets={"notes.txt": b"for boards"}).save(folder)
    return folder


@pytest.mark.compiles
def test_profile_of_a_graph_on_boards(
    astroedge_command: Command, boards: SshBoards, compiled: Build, tmp_path: Path
) -> None:
    """Boards with and without Python measure one network; one that is not there fails alone; nothing is left."""
    result = astroedge_command(
        *("profile", compiled("recurrent_net").graph, "--steps", "50", "--device", "python", "--device", "bare"),
        *("--device", "nowhere.invalid", "--json", tmp_path / "p.json", "--csv", tmp_path / "p.csv"),
    )
    assert result.code == 80, result
    assert "Error: 1 of 3 boards failed: nowhere.invalid.\n" in result.err
    assert "nowhere.invalid failed: There is no host nowhere.invalid" in result.err
    lines = [line.split() for line in result.out.splitlines() if line.startswith(("python ", "bare "))]
    assert [line[0] for line in lines[:3]] == ["python", "python", "bare"]
    assert result.out.count(" yes ") == 3
    records = json.loads((tmp_path / "p.json").read_text())
    assert [schema("profile")(record, "profile") for record in records] == [None] * 3
    profiles = [Profile.from_json(record) for record in records]
    found = [(item.machine["device"], item.by) for item in profiles]
    assert found == [("python", "python"), ("python", "executable"), ("bare", "executable")]
    assert {item.step.count for item in profiles} == {50}
    assert (tmp_path / "p.csv").read_text().startswith("device,by,group,name,value,unit,label,note\npython,python,")
    assert boards.left("python") + boards.left("bare") == []


def test_run_and_verify_on_a_board(astroedge_command: Command, boards: SshBoards, tiny: Path, tmp_path: Path) -> None:
    """Outputs of a board are those of this machine bit for bit, by Python and by the executable; so is the trace."""
    np.savez(tmp_path / "given.npz", **draw_ticks(20))  # type: ignore[arg-type]
    given = ("run", tiny, "--input", tmp_path / "given.npz", "--output")
    assert astroedge_command(*given, tmp_path / "here.npz").code == 0
    for name in ("python", "bare"):
        result = astroedge_command(*given, tmp_path / f"{name}.npz", "--device", name)
        assert result.code == 0, result
        here, there = np.load(tmp_path / "here.npz"), np.load(tmp_path / f"{name}.npz")
        assert {key: here[key].tobytes() for key in here} == {key: there[key].tobytes() for key in there}
    result = astroedge_command("verify", tiny, "--device", "python", "--json", "-")
    assert result.code == 0, result
    record = json.loads(result.out)
    assert schema("board-verify")(record, "verification") is None
    assert record["ok"]
    assert [(item["device"], item["by"], item["ok"]) for item in record["boards"]] == [("python", "python", True)]
    assert boards.left("python") + boards.left("bare") == []


def test_readouts_and_evaluation_on_a_board(
    astroedge_command: Command, boards: SshBoards, compiled: Build, tmp_path: Path
) -> None:
    """Presentations, with the names of their classes, and the score of sequences are the same as on this machine."""
    bundle = tmp_path / "named.astro"
    names = "\n".join(f"class {index}" for index in range(10))
    Bundle.load(compiled("recurrent_net").bundle).with_assets({"labels.txt": names.encode()}).save(bundle)
    rows = random_inputs(recurrent_net(), 6)["x"]
    np.save(tmp_path / "x.npy", rows)
    np.save(tmp_path / "sequences.npy", np.stack([rows, -rows, rows / 2]))
    np.save(tmp_path / "labels.npy", np.array([0, 1, 1]))
    shown = ("run", bundle, "--input", tmp_path / "x.npy", "--ticks", "5", "--readout", "rate")
    scored = ("eval", bundle, "--data", tmp_path / "sequences.npy", "--labels", tmp_path / "labels.npy", "--json", "-")
    for words in (shown, scored):
        here, there = astroedge_command(*words), astroedge_command(*words, "--device", "python")
        assert (here.code, there.code, here.out) == (0, 0, there.out), there
        assert "class " in here.out
        assert here.err.splitlines()[-1] in there.err
    assert boards.left("python") == []


def test_text_on_a_board(astroedge_command: Command, boards: SshBoards, tmp_path: Path) -> None:
    """A board writes what this machine does, by bytes and by a tokenizer that it need not have."""
    bundle = build(token_net(300))
    line = ("--prompt", "Spikes carry", "--tokens", "40", "--seed", "3", "--min-p", "0.001", "--stop", "zzz")
    bundle.with_assets({"tokenizer.json": byte_level()}).save(tmp_path / "lm.astro")
    build(token_net(256)).save(tmp_path / "bytes.astro")
    for name in ("lm", "bytes"):
        here = astroedge_command("run", tmp_path / f"{name}.astro", *line)
        there = astroedge_command("run", tmp_path / f"{name}.astro", *line, "--device", "python")
        assert (here.code, there.code, here.out) == (0, 0, there.out), there
        assert here.out.startswith("Spikes carry")
    bundle.save(tmp_path / "none.astro")
    refused = astroedge_command("run", tmp_path / "none.astro", *line, "--device", "python")
    assert refused.failed_with(60), refused
    assert "has no tokenizer (export --tokenizer)" in refused.err
    bare = astroedge_command("run", tmp_path / "lm.astro", *line, "--device", "bare")
    assert bare.failed_with(80), bare
    assert "Text needs Python" in bare.err
    assert boards.left("python") + boards.left("bare") == []


@pytest.mark.compiles
def test_what_python_alone_can_look_at(
    astroedge_command: Command, boards: SshBoards, compiled: Build, tmp_path: Path
) -> None:
    """A board with Python times kernels and ONNX Runtime and notes who fires; one without says what it lacks."""
    np.save(tmp_path / "x.npy", random_inputs(recurrent_net(), 20)["x"])
    bundle = compiled("recurrent_net").bundle
    result = astroedge_command(
        *("profile", bundle, "--input", tmp_path / "x.npy", "--steps", "20", "--device", "python", "--device", "bare"),
        *(
            "--kernels",
            "--raster",
            "--compare",
            compiled("recurrent_net").graph,
            "--trace",
            tmp_path / "t.json",
            "--json",
            tmp_path / "p.json",
        ),
    )
    assert result.code == 80, result
    lack = "bare has no python3, and --kernels needs Python and NumPy. Install NumPy there"
    assert lack in result.err
    assert "--install" in result.err.partition(lack)[2]
    (record,) = json.loads((tmp_path / "p.json").read_text())
    assert schema("profile")(record, "profile") is None
    profile = Profile.from_json(record)
    assert profile.kernels is not None
    assert profile.comparison is not None
    assert profile.comparison.ratio > 0
    with pytest.raises(MissingDependencyError, match="pip install no_such_package on the board"):
        refuse_missing(("onnx", "no_such_package"))
    with load(bundle) as session:
        assert profile.raster == profile_raster(session, {"x": np.load(tmp_path / "x.npy")}, recurrent_net())
        names = [kernel.name for kernel in session.manifest.kernels]
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert events[0]["args"]["name"].endswith(" on python")
    assert [event["name"] for event in events if event.get("cat") == "kernel"][: len(names)] == names
    assert "The kernels take " in result.out
    assert boards.left("python") + boards.left("bare") == []


def test_deploy(astroedge_command: Command, boards: SshBoards, tiny: Path, tmp_path: Path) -> None:
    """A bundle is put in its place, sent once, and replaces only a bundle; an executable runs by the line shown."""
    home = boards.boards["python"]
    first = astroedge_command("deploy", tiny, "--device", "python")
    assert first.code == 0, first
    assert {path.name for path in (home / "tiny.astro").rglob("*")} == {path.name for path in tiny.rglob("*")}
    second = astroedge_command("deploy", tiny, "--device", "python", "--to", "nets/")
    assert second.code == 0, second
    assert "sending weights" in first.err
    assert "sending weights" not in second.err
    assert f"{home}/nets" in second.out
    (home / "mine").write_text("a letter")
    refused = astroedge_command("deploy", tiny, "--device", "python", "--to", "mine")
    assert refused.code == 80
    assert "is no bundle that could be replaced" in refused.err
    assert (home / "mine").read_text() == "a letter"
    program = astroedge_command("deploy", tiny, "--device", "bare", "--executable")
    assert program.code == 0, program
    assert f"ssh bare {boards.boards['bare']}/tiny run" in program.out
    words = ["ssh", "bare", f"{boards.boards['bare']}/tiny verify"]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0
    assert boards.left("python") + boards.left("bare") == []


def test_other_bits_and_another_processor(astroedge_command: Command, boards: SshBoards, tmp_path: Path) -> None:
    """A board that computes other bits is an error of the verification, another processor's bundle is refused."""
    good = make_tiny_bundle("x86-64-v2").manifest
    golden = replace(good.golden, ticks=(GoldenTick(1, "0" * 64, "0" * 64),))
    target = resolve_target("x86-64-v2")
    make_bundle(replace(tiny_manifest(target), golden=golden), TINY_TICK, weights_bytes(), target).save(
        tmp_path / "b.astro"
    )
    result = astroedge_command("verify", tmp_path / "b.astro", "--device", "python")
    assert result.code == 70, result
    assert "DIFFERS" in result.out
    make_tiny_bundle("raspberry-pi-4").save(tmp_path / "arm.astro")
    result = astroedge_command("profile", tmp_path / "arm.astro", "--device", "python")
    assert result.failed_with(51), result
    assert "give the step graph" in result.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_an_end_in_the_middle_leaves_nothing(
    boards: SshBoards, tiny: Path, tmp_path: Path, number: int, code: int
) -> None:
    """Ctrl-C in a measurement ends it with code 130, here and there; even a kill leaves nothing on the board."""
    np.savez(tmp_path / "long.npz", **draw_ticks(300_000))  # type: ignore[arg-type]
    words = ("profile", str(tiny), "--input", str(tmp_path / "long.npz"), "--device", "python")
    command = [sys.executable, "-m", "astroedge", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stderr is not None
        while "measuring" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(number)
        said = process.stderr.read()
    assert (process.returncode, "Traceback" in said) == (code, False), said
    while number == signal.SIGKILL and boards.left("python"):
        pass  # the board sees it a moment later
    assert boards.left("python") == []


@pytest.mark.parametrize(
    "answer",
    [
        r'{"golden": [{"tick": 1, "state": "\u001b[2J", "outputs": ""}]}',
        '{"error": ["SystemExit", "\\u001b]0;owned\\u0007 twice"]}',
        "[1, 2, NaN]",
    ],
)
def test_a_board_that_lies(astroedge_command: Command, boards: SshBoards, tiny: Path, answer: str) -> None:
    """What is no answer of AstroEdge is one line without control characters, and nothing of it is used."""
    name = f"liar-{abs(hash(answer))}"
    tools = boards.folder / f"{name}-tools"
    boards.add(name, "sh -c", PATH=python_tools(tools))
    real = (tools / "python3").read_text().splitlines()[-1]
    lie = f"case $5 in '{{'*) cat >/dev/null; cat <<'END'\n{answer}\nEND\nexit;; esac"
    (tools / "python3").write_text(f"#!/bin/sh\n{lie}\n{real}\n")
    result = astroedge_command("verify", tiny, "--device", name)
    assert result.failed_with(80), result
    assert result.err.replace("\n", "").isprintable()


def test_what_makes_no_sense_is_wrong_usage(astroedge_command: Command, tiny: Path) -> None:
    """Options that contradict each other or belong to boards alone are code 2."""
    for words in (
        ("profile", tiny, "--device", "a", "--device", "b", "--meter", "power.csv"),
        ("profile", tiny, "--install"),
        ("profile", tiny, "--device", "-oProxyCommand=touch x"),
        ("verify", tiny, "--device", "b", "--graph", "g.onnx"),
        ("run", tiny, "--device", "b", "--source", "stdin"),
        ("run", tiny, "--device", "a", "--device", "b", "--input", "x.npy"),
        ("deploy", tiny, "--device", "0"),
        ("deploy", tiny),
    ):
        assert astroedge_command(*words).code == 2, words


@pytest.mark.compiles
@pytest.mark.emulated
def test_a_raspberry_pi_without_python(
    astroedge_command: Command, boards: SshBoards, compiled: Build, tmp_path: Path
) -> None:
    """A 64-bit ARM system is recognised and compiled for, and its executable measures and verifies itself there."""
    try:
        boards.add("pi", arm_shell(boards.folder / "pi"), PATH="/bin")
    except NoArmRootError as error:
        if "CI" in os.environ:
            pytest.fail(f"An ARM board must be played in CI: {error}")
        pytest.skip(str(error))
    result = astroedge_command(
        *("profile", compiled("recurrent_net").graph, "--steps", "20", "--device", "pi", "--json", tmp_path / "p.json")
    )
    assert result.code == 0, result
    (record,) = json.loads((tmp_path / "p.json").read_text())
    assert (record["target"], record["by"], record["machine"]["board"]) == ("raspberry-pi-4", "executable", MODEL)
    assert boards.left("pi") == []
