from __future__ import annotations

import csv
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from astroedge.bundle.container import Bundle
from astroedge.readout import READOUTS, chosen_class
from astroedge.runtimes import load
from tests.conftest import Compiled
from tests.support.command import Command
from tests.support.graphs import random_inputs, recurrent_net
from tests.support.places import ROOT

Build = Callable[[str], Compiled]
SILENT = "It is no class, for nothing fired.\n"


@pytest.fixture
def text_bundle(compiled: Build) -> Path:
    """A byte-level language model with random weights."""
    return compiled("token_net:256").bundle


@pytest.fixture
def array_bundle(compiled: Build) -> Path:
    """Two recurrent layers: input x (1, 20), output y (1, 10)."""
    return compiled("recurrent_net").bundle


def frames(ticks: int = 12) -> np.ndarray:
    """Data for the recurrent net, (ticks, 1, 20)."""
    return random_inputs(recurrent_net(), ticks)["x"]


def expected(bundle: Path, x: np.ndarray) -> np.ndarray:
    """What the bundle gives for it, from Python."""
    with load(bundle) as session:
        return session.run(x=x)["y"]


def test_text_follows_the_prompt_and_repeats_with_its_seed(astroedge_command: Command, text_bundle: Path) -> None:
    """The prompt comes first, then as much text as asked for; the same seed gives it again, another one does not."""
    lines = [("run", text_bundle, "--prompt", "über ", "--tokens", "30", "--seed", seed) for seed in "112"]
    first, again, other = (astroedge_command(*line) for line in lines)
    assert first.code == 0
    assert first.out.startswith("über ")
    assert len(first.out) > len("über \n") + 10
    assert first.out == again.out
    assert first.out != other.out
    assert first.err.startswith("30 bytes in ")


def test_temperature_zero_needs_no_seed(astroedge_command: Command, text_bundle: Path) -> None:
    """The likeliest byte is the same for every seed, and so is a choice among the one likeliest."""
    greedy = {astroedge_command("run", text_bundle, "--temperature", "0", "--seed", seed).out for seed in "12"}
    greedy |= {astroedge_command("run", text_bundle, "--top-k", "1", "--seed", "3").out}
    assert len(greedy) == 1


def test_text_without_a_prompt_starts_on_a_new_line(astroedge_command: Command, text_bundle: Path) -> None:
    """A language model generates when nothing at all is said."""
    assert astroedge_command("run", text_bundle, "--tokens", "0").out == "\n"


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv"])
def test_files_of_every_format_go_in_and_out(
    astroedge_command: Command, array_bundle: Path, tmp_path: Path, suffix: str
) -> None:
    """Frames in a file give what the session gives, bit for bit, in a file of the suffix asked for."""
    x, source, target = frames(), tmp_path / f"x{suffix}", tmp_path / f"y{suffix}"
    if suffix == ".npy":
        np.save(source, x)
    elif suffix == ".npz":
        np.savez(source, x=x)
    else:
        np.savetxt(source, x[:, 0], delimiter=",")
    assert astroedge_command("run", array_bundle, "--input", source, "--output", target).code == 0
    if suffix == ".csv":
        found = np.loadtxt(target, delimiter=",", skiprows=1, dtype=np.float32)[:, None]
        assert target.read_text().startswith("y[0],y[1],")
    else:
        loaded = np.load(target)
        found = loaded if suffix == ".npy" else loaded["y"]
    assert np.array_equal(found, expected(array_bundle, x))
    assert sorted(tmp_path.iterdir()) == sorted([source, target])


def test_outputs_are_printed_as_csv(astroedge_command: Command, array_bundle: Path, tmp_path: Path) -> None:
    """Without --output the lines go to standard output."""
    np.save(tmp_path / "x.npy", frames())
    lines = astroedge_command("run", array_bundle, "--input", tmp_path / "x.npy").out.splitlines()
    assert len(lines) == 13
    assert lines[0] == ",".join(f"y[{index}]" for index in range(10))


def test_lines_from_standard_input_are_answered_one_by_one(array_bundle: Path) -> None:
    """A sensor's line is answered before the next one is sent, and Ctrl-C ends quietly with code 130."""
    command = [sys.executable, "-m", "astroedge", "run", str(array_bundle), "--input", "-"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        x = frames(3)
        answers = []
        for tick in x:
            process.stdin.write(",".join(map(str, tick.ravel())) + "\n")
            process.stdin.flush()
            if not answers:
                assert process.stdout.readline().startswith("y[0],")
            answers.append([float(cell) for cell in process.stdout.readline().split(",")])
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        assert process.stderr.read().strip() == ""
    assert np.array_equal(np.array(answers, np.float32)[:, None], expected(array_bundle, x))


def test_standard_input_goes_to_a_file_too(astroedge_command: Command, array_bundle: Path, tmp_path: Path) -> None:
    """With --output the lines are collected and run at once."""
    x = frames()
    lines = "".join(",".join(map(str, tick.ravel())) + "\n" for tick in x)
    target = tmp_path / "y.npy"
    assert astroedge_command("run", array_bundle, "--input", "-", "--output", target, stdin=lines).code == 0
    assert np.array_equal(np.load(target), expected(array_bundle, x))


def test_reader_that_goes_away_is_no_error_message(array_bundle: Path, tmp_path: Path) -> None:
    """`astroedge run … | head -1` prints nothing on standard error."""
    np.save(tmp_path / "x.npy", frames(4000))
    command = f"{sys.executable} -m astroedge run {array_bundle} --input {tmp_path / 'x.npy'} | head -1"
    result = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.startswith("y[0],")
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("wrong.npz", {"z": np.zeros((3, 1, 20), np.float32)}, "holds z and must hold x"),
        ("x.npy", np.zeros((3, 1, 21), np.float32), "float32 (T, 1, 20)"),
        ("x.npy", np.zeros((3, 1, 20), np.float64), "float64"),
        ("x.npz", {"x": np.full((3, 1, 20), np.nan, np.float32)}, "NaN"),
    ],
)
def test_data_that_does_not_fit_is_one_line_and_no_file(
    astroedge_command: Command, array_bundle: Path, tmp_path: Path, name: str, array: object, message: str
) -> None:
    """A wrong name, shape or dtype and a NaN end with code 60, and nothing is written."""
    source = tmp_path / name
    np.savez(source, **array) if isinstance(array, dict) else np.save(source, array)
    result = astroedge_command("run", array_bundle, "--input", source, "--output", tmp_path / "y.npy")
    assert result.failed_with(60), result
    assert message in result.err
    assert list(tmp_path.iterdir()) == [source]


def test_nan_in_csv_is_refused_with_its_place(astroedge_command: Command, array_bundle: Path, tmp_path: Path) -> None:
    """The message says which element of which tick."""
    cells = frames(3)[:, 0].astype(str)
    cells[1, 4] = "nan"
    source = tmp_path / "x.csv"
    source.write_text("\n".join(",".join(row) for row in cells))
    result = astroedge_command("run", array_bundle, "--input", source)
    assert result.failed_with(60), result
    assert "NaN at [0, 4] in tick 1 of this run" in result.err


def test_token_out_of_range_is_refused(astroedge_command: Command, text_bundle: Path, tmp_path: Path) -> None:
    """A language model takes arrays too, and 256 is no byte."""
    source = tmp_path / "tokens.csv"
    source.write_text("token\n104\n256\n")
    result = astroedge_command("run", text_bundle, "--input", source)
    assert result.failed_with(60), result
    assert "256" in result.err


def test_model_without_tokens_needs_data(astroedge_command: Command, array_bundle: Path) -> None:
    """Without --input the error names what the model takes; a prompt for it is refused."""
    result = astroedge_command("run", array_bundle)
    assert result.failed_with(60), result
    assert "x [1, 20]" in result.err
    assert astroedge_command("run", array_bundle, "--prompt", "a").failed_with(60)


@pytest.mark.parametrize(
    "options", [("--prompt", "a", "--input", "x.npy"), ("--output", "y.npy"), ("--tokens", "-1"), ("--tokens", "many")]
)
def test_contradicting_options_are_a_usage_error(
    astroedge_command: Command, text_bundle: Path, options: tuple[str, ...]
) -> None:
    """Wrong usage exits with 2, as everywhere."""
    result = astroedge_command("run", text_bundle, *options)
    assert result.code == 2
    assert "Error: " in result.err


def test_missing_file_and_full_path_are_one_line(
    astroedge_command: Command, array_bundle: Path, tmp_path: Path
) -> None:
    """What the operating system refuses is one line that names the file."""
    result = astroedge_command("run", array_bundle, "--input", tmp_path / "none.npy")
    assert result.code == 1
    assert result.err == f"Error: {tmp_path}/none.npy: No such file or directory.\n"
    np.save(tmp_path / "x.npy", frames())
    result = astroedge_command(
        "run", array_bundle, "--input", tmp_path / "x.npy", "--output", tmp_path / "none" / "y.npy"
    )
    assert result.code == 1
    assert result.err == f"Error: {tmp_path}/none/y.npy: No such file or directory.\n"


def test_images_are_shown_for_a_number_of_ticks(astroedge_command: Command, array_bundle: Path, tmp_path: Path) -> None:
    """A row a presentation, each from the initial state, with its class at the end, as a session has it."""
    images = frames(3)
    np.save(tmp_path / "images.npy", images)
    show = ("run", array_bundle, "--input", tmp_path / "images.npy", "--ticks", "7")
    for readout in READOUTS:
        result = astroedge_command(*show, "--readout", readout, "--output", tmp_path / "out.npz")
        assert result.code == 0, result.err
        stored = np.load(tmp_path / "out.npz")
        with load(array_bundle) as session:
            answers = [session.present(7, x=image, readout=readout)["y"] for image in images]
        np.testing.assert_array_equal(stored["y"], answers)
        assert stored["class"].tolist() == [[chosen_class(readout, answer, 7)] for answer in answers]
    printed = astroedge_command(*show).out.splitlines()
    assert (len(printed), printed[0].split(",")[-1]) == (4, "class")
    assert astroedge_command(*show, "--output", tmp_path / "out.npy").code == 0
    assert np.load(tmp_path / "out.npy").shape == (3, 1, 10)


def test_presentations_have_the_names_of_their_classes(
    astroedge_command: Command, array_bundle: Path, tmp_path: Path
) -> None:
    """Where the bundle has names, a last column of CSV has them, and a line sums them up; .npy stays as it is."""
    names = ["aye, aye", "größe", *"cdefghij"]
    Bundle.load(array_bundle).with_assets({"labels.txt": "\n".join(names).encode()}).save(tmp_path / "named.astro")
    np.save(tmp_path / "images.npy", frames(3))
    show = ("run", tmp_path / "named.astro", "--input", tmp_path / "images.npy", "--ticks", "7")
    result = astroedge_command(*show)
    header, *rows = csv.reader(result.out.splitlines())
    assert header[-2:] == ["class", "label"]
    chosen = [row[-1] for row in rows]
    assert chosen == [names[int(row[-2])] for row in rows]
    assert result.err.startswith("3 rows: ")
    assert all(f"{name} × {chosen.count(name)}" in result.err for name in chosen)
    np.save(tmp_path / "images.npy", frames(1))
    assert astroedge_command(*show).err == f"It is {chosen[0]}.\n"
    assert astroedge_command(*show, "--quiet").err == ""
    assert astroedge_command(*show, "--output", tmp_path / "out.npy").code == 0
    assert np.load(tmp_path / "out.npy").shape == (1, 1, 10)
    np.save(tmp_path / "images.npy", np.zeros((1, 1, 20), np.float32))
    silent = astroedge_command(*show, "--readout", "first-spike", "--ticks", "1")
    assert (silent.out.splitlines()[1].split(",")[-2:], silent.err) == (["-1", '""'], SILENT)


def test_ticks_without_data_are_refused(astroedge_command: Command, text_bundle: Path) -> None:
    """There is nothing to show."""
    assert "--ticks goes with --input" in astroedge_command("run", text_bundle, "--ticks", "3").err
