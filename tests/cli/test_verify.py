from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import TargetIdentity
from astroedge.step.graph import StepGraph
from astroedge.targets import compile_step, link_bundle
from astroedge.targets.boards.target import resolve_target
from tests.conftest import Compiled
from tests.support.bundles import edited
from tests.support.command import Command
from tests.support.graphs import random_inputs, recurrent_net

Build = Callable[[str], Compiled]


@pytest.fixture
def made(compiled: Build) -> Compiled:
    """Two recurrent layers, compiled."""
    return compiled("recurrent_net")


def retarget(source: Path, folder: Path, identity: TargetIdentity) -> Path:
    """A copy of a bundle that says it was made for another processor, its digests in order."""
    edited(Bundle.load(source), target=identity).save(folder)
    return folder


def test_golden_trace_is_replayed(astroedge_command: Command, made: Compiled) -> None:
    """Without a graph every golden tick is shown to be equal."""
    result = astroedge_command("verify", made.bundle)
    assert result.code == 0
    assert result.out.count("equal") == 4
    assert "Verified: recurrent_net for native" in result.out


def test_comparison_with_the_graph_is_shown_and_kept(
    astroedge_command: Command, made: Compiled, tmp_path: Path
) -> None:
    """Agreement of every spike tensor, forced and free, on the screen and as JSON; exact sums agree to the last bit."""
    result = astroedge_command(
        "verify", made.bundle, "--graph", made.graph, "--steps", "300", "--seed", "5", "--json", tmp_path / "v.json"
    )
    assert result.code == 0, result.err
    assert "100.0000 %" in result.out
    assert "forced over 300 ticks" in result.out
    record = json.loads((tmp_path / "v.json").read_text())
    assert record["ok"] is True
    assert record["forced"]["spikes_compared"] == 300 * (48 + 36)
    assert record["free"]["first_spike"] is None
    rates = [item["session_rate"] for item in record["forced"]["spikes"]]
    assert all(0.02 < rate < 0.6 for rate in rates)


def test_own_data_is_compared(astroedge_command: Command, made: Compiled, tmp_path: Path) -> None:
    """With --input all of its ticks are compared."""
    np.save(tmp_path / "x.npy", random_inputs(recurrent_net(), 40)["x"])
    result = astroedge_command("verify", made.bundle, "--graph", made.graph, "--input", tmp_path / "x.npy")
    assert result.code == 0, result.err
    assert "forced over 40 ticks" in result.out


def test_what_counts_as_rounding_can_be_said(astroedge_command: Command, made: Compiled) -> None:
    """The report judges by a tolerance and a number of flips of one's own; without a graph they mean nothing."""
    options = ("--tolerance", "1e-4", "--allow-flips", "2")
    result = astroedge_command("verify", made.bundle, "--graph", made.graph, "--steps", "20", *options)
    assert result.code == 0, result.err
    said = " ".join(result.out.split())
    assert "accepted tolerance 0.0001 in place of 1e-05" in said
    assert "2 allowed" in said
    assert astroedge_command("verify", made.bundle, *options).code == 2


def test_other_graph_is_refused_by_its_digest(astroedge_command: Command, made: Compiled, compiled: Build) -> None:
    """A graph the bundle was not compiled from is one line, code 70."""
    result = astroedge_command("verify", made.bundle, "--graph", compiled("token_net:256").graph)
    assert result.failed_with(70), result
    assert "another graph" in result.err


def test_bundle_with_other_bits_fails(astroedge_command: Command, made: Compiled, tmp_path: Path) -> None:
    """A golden trace that this machine does not reproduce ends with code 70, and the report is written all the same."""
    golden, other = Bundle.load(made.bundle).manifest.golden, tmp_path / "other.astro"
    ticks = (golden.ticks[0], *(replace(item, state=item.outputs) for item in golden.ticks[1:]))
    native = resolve_target("native")
    step = compile_step(StepGraph.load(made.graph), native, math="exact", kernels="auto", probes=False)
    link_bundle(step, native, replace(golden, ticks=ticks)).save(other)
    result = astroedge_command("verify", other, "--json", tmp_path / "v.json")
    assert result.code == 70
    assert result.out.count("DIFFERS") == 3
    assert "golden trace differs at tick 10 (state)" in result.err
    assert result.err.startswith("Error: ")
    assert json.loads((tmp_path / "v.json").read_text())["golden"]["ok"] is False


def test_bundle_for_another_processor_is_refused(astroedge_command: Command, made: Compiled, tmp_path: Path) -> None:
    """A bundle for ARM on x86-64, or for CPU features that are missing, is one line, code 51."""
    identity = Bundle.load(made.bundle).manifest.target
    arm = replace(identity, name="raspberry-pi-4", arch="aarch64", triple="aarch64-linux-gnu", cpu="cortex-a72")
    if identity.arch == "aarch64":
        arm = replace(identity, name="x86-64-v2", arch="x86_64", triple="x86_64-linux-gnu", cpu="x86-64-v2")
    future = replace(identity, features=("no_such_feature",))
    for name, target, message in (("arm", arm, arm.arch), ("future", future, "no_such_feature")):
        other = retarget(made.bundle, tmp_path / name, target)
        for command in ("verify", "run", "profile"):
            result = astroedge_command(command, other)
            assert result.failed_with(51), result
            assert message in result.err


@pytest.mark.parametrize("command", ["verify", "run", "profile", "inspect"])
def test_flipped_byte_in_any_file_is_noticed(
    astroedge_command: Command, made: Compiled, tmp_path: Path, command: str
) -> None:
    """Whatever file is damaged and whatever is done with the bundle, it is one line, code 50."""
    for file in sorted(made.bundle.iterdir()):
        damaged = tmp_path / file.name
        shutil.copytree(made.bundle, damaged)
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        (damaged / file.name).write_bytes(content)
        result = astroedge_command(command, damaged)
        assert result.failed_with(50), (file.name, result)


def test_file_that_was_cut_short_is_noticed(astroedge_command: Command, made: Compiled, tmp_path: Path) -> None:
    """Truncated weights are one line, code 50, and so is a missing library."""
    for pattern in ("weights-*", "step-*"):
        damaged = tmp_path / pattern[:4]
        shutil.copytree(made.bundle, damaged)
        (file,) = damaged.glob(pattern)
        file.write_bytes(file.read_bytes()[:-1]) if pattern.startswith("weights") else file.unlink()
        result = astroedge_command("verify", damaged)
        assert result.failed_with(50), result
        assert file.name in result.err


@pytest.mark.parametrize(
    "options", [("--steps", "10"), ("--seed", "1"), ("--graph", "g.onnx", "--input", "x.npy", "--seed", "1")]
)
def test_options_that_mean_nothing_are_refused(
    astroedge_command: Command, made: Compiled, options: tuple[str, ...]
) -> None:
    """Data belongs to a comparison with a graph, and comes from one place."""
    assert astroedge_command("verify", made.bundle, *options).code == 2
