"""A program with a step in it, under the sanitisers of addresses and undefined behaviour: its words and its bits."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import astroedge
from astroedge.bundle.manifest import Golden, TargetIdentity
from astroedge.errors import BundleError, IncompatibleError, InputError, VerificationError
from astroedge.runtimes.profiling.profiler import profile
from astroedge.step_profile import Profile
from astroedge.targets.boards.target import resolve_target
from tests.support.bundles import (
    SEED,
    TINY_TICK,
    draw_ticks,
    make_bundle,
    make_golden,
    make_tiny_bundle,
    tiny_manifest,
    weights_bytes,
)
from tests.support.executables import call, failure, frames_of, interrupt, link_checked
from tests.support.teams import proven_team_bundle

SCHEMA = json.loads((Path(astroedge.__file__).parent / "schemas" / "profile.schema.json").read_text())
TIMING = {"count", "mean", "std", "min", "p50", "p90", "p95", "p99", "max"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny layer as a program."""
    return link_checked(make_tiny_bundle(), tmp_path_factory.mktemp("programs") / "tiny")


def profiled(program: Path, *arguments: str) -> dict[str, Any]:
    """What a program writes of itself as JSON, checked against the schema."""
    result = call(program, "profile", *arguments, "--json", "-")
    assert (result.returncode, result.stderr) == (0, b"")
    record: dict[str, Any] = json.loads(result.stdout)
    jsonschema.validate({key: value for key, value in record.items() if key in SCHEMA["properties"]}, SCHEMA)
    labels = {reading["name"]: reading["label"] for reading in record["readings"]}
    assert (labels["throughput"] == "unavailable") == ("warnings" in record), "doubted where native runs were slower"
    return record


def test_verify_replays_the_golden_trace(tiny: Path) -> None:
    """The whole trace, or its ticks up to a number, agree; a number below the first golden tick compares nothing."""
    result = call(tiny, "verify")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"tiny for native: all 4 golden ticks agree\n", b"")
    assert call(tiny, "verify", "--ticks", "99").stdout == b"tiny for native: the first 2 of 4 golden ticks agree\n"


def test_wrong_bits_and_no_trace_are_not_verified(tmp_path: Path) -> None:
    """A program that computes something else than its trace says tells the first tick that differs."""
    native = resolve_target("native")
    ticks = list(make_tiny_bundle().manifest.golden.ticks)
    ticks[1:] = [replace(item, outputs="0" * 64) for item in ticks[1:]]
    for golden, words in ((Golden(SEED, tuple(ticks), {}), "at tick 10:"), (Golden(SEED, (), {}), "no golden trace")):
        bundle = make_bundle(replace(tiny_manifest(native), golden=golden), TINY_TICK, weights_bytes(), native)
        result = call(link_checked(bundle, tmp_path / "wrong"), "verify")
        assert (result.returncode, result.stdout) == (VerificationError.exit_code, b"")
        assert words in failure(result)


def test_a_flipped_bit_of_the_weights_is_told(tiny: Path, tmp_path: Path) -> None:
    """Weights that do not match their digest are refused before a tick, by every command that computes."""
    content = bytearray(tiny.read_bytes())
    content[content.index(weights_bytes()) + 1234] ^= 4
    damaged = tmp_path / "damaged"
    damaged.write_bytes(content)
    damaged.chmod(0o755)
    for command in ("verify", "profile", "run"):
        result = call(damaged, command)
        assert (result.returncode, result.stdout) == (BundleError.exit_code, b"")
        assert "do not match their digest; it is damaged: copy it again" in failure(result)


def test_large_weights_are_copied_and_compared(tmp_path: Path) -> None:
    """Weights of several MiB, which are copied into huge pages, give the same bits and are compared as copied."""
    native, size = resolve_target("native"), (4 << 20) + 64
    manifest = make_tiny_bundle().manifest
    large = replace(manifest, layout=replace(manifest.layout, weights_size=size))
    weights = weights_bytes().ljust(size, b"\7")
    program = link_checked(make_bundle(large, TINY_TICK, weights, native), tmp_path / "large")
    assert call(program, "verify").returncode == 0
    content = bytearray(program.read_bytes())
    content[content.index(weights) + size - 1] ^= 1
    program.write_bytes(content)
    assert call(program, "verify").returncode == BundleError.exit_code


def test_run_gives_the_outputs_of_a_session(tiny: Path) -> None:
    """Frames of inputs, without padding, give the frames of outputs that the session in Python gives, to the bit."""
    inputs, layout = draw_ticks(3000), make_tiny_bundle().manifest.layout
    with astroedge.load(make_tiny_bundle()) as session:
        expected = frames_of(layout.outputs, session.run(**inputs))
    result = call(tiny, "run", given=frames_of(layout.inputs, inputs))
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout == expected


def test_frames_are_read_from_a_file(tiny: Path, tmp_path: Path) -> None:
    """A file is read like standard input; one that is missing is an error, an empty one no ticks."""
    (tmp_path / "frames").write_bytes(frames_of(make_tiny_bundle().manifest.layout.inputs, draw_ticks(5)))
    assert len(call(tiny, "run", "--input", tmp_path / "frames").stdout) == 5 * 48
    assert call(tiny, "run", "--input", "/dev/null").stdout == b""
    result = call(tiny, "run", "--input", tmp_path / "nothing")
    assert result.returncode == InputError.exit_code
    assert "No such file" in failure(result)


def test_any_number_of_threads_gives_the_bits_of_one(tmp_path: Path) -> None:
    """A divided step verifies, runs and is measured with 1, 2 and 5 threads; too small a step refuses them."""
    bundle = proven_team_bundle()
    program = link_checked(bundle, tmp_path / "team")
    inputs = {"x": np.arange(400, dtype=np.int64)[:, None]}
    with astroedge.load(bundle, threads=1) as session:
        expected = frames_of(bundle.manifest.layout.outputs, session.run(**inputs))
    for threads in ("1", "2", "5"):
        assert call(program, "verify", "--ticks", "100", "--threads", threads).returncode == 0
        frames = frames_of(bundle.manifest.layout.inputs, inputs)
        assert call(program, "run", "--threads", threads, given=frames).stdout == expected
    assert profiled(program, "--steps", "20", "--threads", "2")["threads"] == 2


def test_more_threads_than_a_step_takes_are_refused(tiny: Path) -> None:
    """A step too small to be divided says so."""
    result = call(tiny, "profile", "--threads", "2")
    assert result.returncode == InputError.exit_code
    assert "too small to be divided" in failure(result)


def test_refused_frames_come_after_the_outputs_before_them(tiny: Path) -> None:
    """A NaN or half a frame ends the run with the frame's number; what came before it is computed and written."""
    layout = make_tiny_bundle().manifest.layout
    inputs = draw_ticks(10)
    inputs["x"][7, 0, 3] = np.nan
    frames = frames_of(layout.inputs, inputs)
    result = call(tiny, "run", given=frames)
    assert (result.returncode, len(result.stdout)) == (InputError.exit_code, 7 * 48)
    assert "Frame 7: Element 3 of input x is a NaN." in failure(result)
    result = call(tiny, "run", given=frames[: 2 * 44 + 30])
    assert (result.returncode, len(result.stdout)) == (InputError.exit_code, 2 * 48)
    assert "The input ends in frame 2: 30 of its 44 bytes are there." in failure(result)


def test_a_profile_counts_what_python_counts(tiny: Path) -> None:
    """On the same drawn ticks the firing rates are those of `astroedge.profile`, and so are synaptic operations."""
    record = profiled(tiny, "--steps", "250", "--warmup", "30")
    ours = Profile.from_json(record)
    theirs = profile(make_tiny_bundle(), steps=250, warmup=30)
    assert ours.by == "executable"
    assert ours.spikes == theirs.spikes
    assert 0 < ours.spikes[0].rate < 1
    assert ours.operations.effective_acs == pytest.approx(theirs.operations.effective_acs, rel=1e-12)
    for name in ("model", "target", "precision", "graph_sha256", "inputs", "warmup", "threads"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert (ours.operations.dense, ours.operations.label) == (theirs.operations.dense, theirs.operations.label)


def test_a_profiles_times_are_those_of_its_steps(tiny: Path) -> None:
    """Times are in order, and every reading is there or says why not."""
    record = profiled(tiny, "--steps", "50")
    step = record["step"]
    assert step.keys() == TIMING
    assert step["count"] == 50
    order = [step[name] for name in ("min", "p50", "p90", "p95", "p99", "max")]
    assert order == sorted(order)
    assert 0 < order[0] <= step["mean"] <= order[-1]
    readings = {item["name"]: item for item in record["readings"]}
    for name in ("load time", "first step", "throughput", "peak memory", "executable size", "weights size"):
        assert readings[name]["label"] == "unavailable" or readings[name]["value"] > 0
    assert readings["executable size"]["value"] == tiny.stat().st_size
    assert all(item["note"] for item in record["readings"] if item["value"] is None)


def test_a_profile_lasts_as_long_as_asked(tiny: Path) -> None:
    """A duration ends the steps, a rate spaces them: each tick's lateness and time are told, and the rate is kept."""
    record = profiled(tiny, "--duration", "0.2", "--rate", "50")
    assert record["step"]["count"] > 50
    paced = record["paced"]
    assert paced.keys() == {"rate", "period", "seconds", "step", "wake", "missed"}
    assert (paced["rate"], paced["period"]) == (50, 2e7)
    assert paced["step"].keys() == paced["wake"].keys() == TIMING
    assert 1 <= paced["step"]["count"] <= 10
    assert paced["wake"]["min"] >= 0


def test_a_profile_is_written_to_a_file(tiny: Path, tmp_path: Path) -> None:
    """The JSON takes the place of the old one, people read a summary; a file that cannot be written is an error."""
    (tmp_path / "p.json").write_text("old")
    result = call(tiny, "profile", "--steps", "9", "--json", tmp_path / "p.json")
    assert json.loads((tmp_path / "p.json").read_text())["step"]["count"] == 9
    assert result.stdout.startswith(b"Profile of tiny for native, float32, 1 thread; inputs drawn from seed ")
    result = call(tiny, "profile", "--steps", "9", "--json", tmp_path / "none" / "p.json")
    assert result.returncode == 1
    assert "cannot be written" in failure(result)
    assert [path.name for path in tmp_path.iterdir()] == ["p.json"]


def test_names_that_a_terminal_acts_on_are_not_printed(tmp_path: Path) -> None:
    """A model's name with control characters and quotes stays JSON, and is printed without them."""
    native, name = resolve_target("native"), 'n"e\\t\x1b[31m\né'
    bundle = make_bundle(replace(tiny_manifest(native), model=name), TINY_TICK, weights_bytes(), native)
    program = link_checked(bundle, tmp_path / "named")
    assert json.loads(call(program, "info").stdout)["model"] == name
    assert profiled(program, "--steps", "3")["model"] == name
    printed = call(program, "profile", "--steps", "3").stdout.decode()
    assert printed.startswith('Profile of n"e\\t?[31m?é for native, ')


def test_a_step_without_inputs_and_spikes_is_measured(tmp_path: Path) -> None:
    """A step that only goes on by itself has no frames to run on; it is verified and measured like any other."""
    native = resolve_target("native")
    manifest = tiny_manifest(native)
    layout = replace(manifest.layout, inputs_size=0, inputs=(), workspace_size=0)
    step = replace(manifest.step, inputs=(), spikes=())
    alone = replace(manifest, layout=layout, step=step, activity=(), matrices=())
    tick = "int astroedge_tick(void *i, float *y, long long *s) { *y = (float)++s[32]; return 0; }"
    with astroedge.load(make_bundle(alone, tick, weights_bytes(), native)) as session:
        golden = make_golden(session, SEED)
    program = link_checked(
        make_bundle(replace(alone, golden=golden), tick, weights_bytes(), native), tmp_path / "alone"
    )
    assert call(program, "verify").returncode == 0
    record = profiled(program, "--steps", "20")
    assert (record["spikes"], record["operations"]["matrices"]) == ([], [])
    result = call(program, "run", given=b"12345678")
    assert result.returncode == InputError.exit_code
    assert "has no inputs" in failure(result)


def test_info_describes_step_and_frames(tiny: Path) -> None:
    """One JSON object says what the step is and what a frame holds."""
    bundle = make_tiny_bundle()
    manifest, info = bundle.manifest, json.loads(call(tiny, "info").stdout)
    for name in ("model", "precision", "graph_sha256", "threads", "default_threads"):
        assert info[name] == getattr(manifest, name)
    assert info["target"] == manifest.target.name
    assert info["manifest_sha256"] == bundle.linked_digest
    assert (info["weights_sha256"], info["library_sha256"]) == (manifest.weights.sha256, manifest.library.sha256)
    assert info["sizes"] == {
        **{"executable": tiny.stat().st_size, "weights": 3712, "state": 384, "workspace": 64},
        **{"input_frame": 44, "output_frame": 48},
    }
    assert info["inputs"][1] == {"name": "x", "dtype": "float32", "shape": [1, 8], "offset": 8, "size": 32}
    assert [item["dtype"] for item in info["outputs"]] == ["float32", "bool"]


def test_a_missing_feature_is_told_before_anything_runs(tmp_path: Path) -> None:
    """A processor without what the step needs is told its name; the program can still say what it is."""
    native = resolve_target("native")
    identity = TargetIdentity("native", native.triple, native.arch, native.cpu, (*native.features, "warpdrive"))
    bundle = make_bundle(replace(tiny_manifest(native), target=identity), TINY_TICK, weights_bytes(), native)
    program = link_checked(bundle, tmp_path / "future")
    for command in ("verify", "profile", "run"):
        result = call(program, command)
        assert (result.returncode, result.stdout) == (IncompatibleError.exit_code, b"")
        assert "The bundle needs the CPU feature warpdrive, which this processor lacks" in failure(result)
    assert "warpdrive" in json.loads(call(program, "info").stdout)["features"]


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(signal.SIGINT, 130, b"Stopped by Ctrl-C."), (signal.SIGTERM, 143, b"Stopped by SIGTERM.")],
)
def test_a_signal_ends_it_between_ticks(tiny: Path, number: signal.Signals, code: int, words: bytes) -> None:
    """Waiting for frames, measuring for long and waiting for the next paced tick all end at a signal, in one line."""
    for arguments in (("run",), ("profile", "--duration", "600"), ("profile", "--steps", "9", "--rate", "0.01")):
        assert interrupt(tiny, number, *arguments) == (code, b"tiny: " + words + b"\n")


@pytest.mark.parametrize(
    "arguments",
    [
        *((), ("fly",), ("verify", "--ticks"), ("verify", "--ticks", "0"), ("verify", "--steps", "5")),
        *(("profile", "--steps", "-3"), ("profile", "--steps", "99999999999999999999"), ("run", "frames")),
        *(("profile", "--rate", "0"), ("profile", "--duration", "inf"), ("profile", "--duration", "0x5")),
        *(("run", "--threads", "65"), ("info", "--json", "-")),
    ],
)
def test_wrong_usage_is_one_line(tiny: Path, arguments: tuple[str, ...]) -> None:
    """Words that --help does not list end the program with exit code 2 and one line."""
    result = call(tiny, *arguments)
    assert (result.returncode, result.stdout) == (2, b"")
    assert failure(result).startswith("tiny: ")


def test_help_lists_every_command_and_option(tiny: Path) -> None:
    """--help, alone or behind a command, names all there is."""
    result = call(tiny, "--help")
    assert (result.returncode, result.stderr) == (0, b"")
    assert call(tiny, "run", "--help").stdout == result.stdout
    words = ("info", "verify", "profile", "run", "--ticks", "--steps", "--warmup", "--duration", "--rate", "--json")
    assert all(word in result.stdout.decode() for word in (*words, "--input", "--threads"))
