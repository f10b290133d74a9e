"""From a trained spiking language model to a bundle that a bare board runs: `make demo`.

Every step prints what happens and why, then the command a user would type, and runs that very command.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

CHECKPOINT = Path(__file__).resolve().parent / "astrosnn.safetensors"
PROMPT = "The import statement "
HELD_OUT = "held-out.txt"
WIDTH = 100
LINE = "─" * WIDTH


@dataclass(frozen=True)
class Step:
    """One command, what it is for, and what is worth knowing about what it printed."""

    title: str
    before: str
    command: tuple[str, ...]
    after: str = ""


def steps(folder: Path, checkpoint: Path) -> list[Step]:
    """The commands in order; everything they write lies in `folder`."""
    names = ("char_lm.onnx", "char_lm.astro", "char_lm-int8.astro", "char_lm-pi4.astro", HELD_OUT)
    graph, here, small, board, text = (str(folder / name) for name in names)
    return [*make_bundles(checkpoint, graph, here, small, board), *use_bundles(folder, graph, here, small, text)]


def make_bundles(checkpoint: Path, graph: str, here: str, small: str, board: str) -> list[Step]:
    """From a checkpoint to bundles, on the host."""
    return [
        Step(
            "Export",
            "A trained AstroSNN, a spiking network with astrocytes, is a PyTorch checkpoint. Export turns one tick "
            "of it into a step graph: an ordinary ONNX file that says which tensors carry over from tick to tick. "
            "PyTorch and ONNX Runtime then run side by side for 200 ticks.",
            ("export", str(checkpoint), "--name", "char_lm", "-o", graph),
            "Few neurons fire at any tick. The others need no arithmetic, which the next step makes use of.",
        ),
        Step(
            "Compile for this machine",
            "The step graph becomes a bundle: a small native library, its weights and a manifest. Every matrix that "
            "reads spikes gets an event-driven kernel, which adds the weight rows of the neurons that fired and skips "
            "the rest.",
            ("compile", graph, "--target", "native", "-o", here),
            f"To see the kernel chosen for each matrix, and why: astroedge inspect {here}",
        ),
        Step(
            "Compile with int8 weights",
            "The same step with a quarter of the weights file. Spikes are one bit, so there is nothing to calibrate: "
            "the rows of the neurons that fired are added as integers and scaled once. Beside the bundle lies the "
            "graph with the very weights it stores, which is what it is compared with.",
            ("compile", graph, "--precision", "int8", "-o", small),
        ),
        Step(
            "Compile for a Raspberry Pi 4",
            "The same graph for another processor; no board and no cross compiler has to be there. The result has the "
            "same bits: a golden trace in it holds hashes of state and outputs, which the board will reproduce.",
            ("compile", graph, "--target", "raspberry-pi-4", "-o", board),
        ),
    ]


def use_bundles(folder: Path, graph: str, here: str, small: str, text: str) -> list[Step]:
    """What is done with a bundle."""
    return [
        Step(
            "Verify",
            "The golden trace is replayed. Then the bundle is compared with ONNX Runtime, spike for spike: forced "
            "(from the same state at every tick, where only rounding may differ) and free (each with its own state).",
            ("verify", here, "--graph", graph, "--steps", "1000", "--json", str(folder / "verification.json")),
        ),
        Step(
            "Evaluate",
            "What do smaller weights cost? Both bundles and ONNX Runtime predict every byte of text that was kept out "
            "of training; fewer bits per byte are better.",
            ("eval", here, small, "--graph", graph, "--data", text),
        ),
        Step(
            "Generate text",
            "Python, NumPy and the bundle are all this needs: no PyTorch, no ONNX Runtime, no TVM. One byte is a tick.",
            ("run", here, "--prompt", PROMPT, "--tokens", "300", "--temperature", "0.5", "--seed", "1"),
            "A small network that learnt its English from nothing but the documentation of Python's syntax.",
        ),
        Step(
            "Profile",
            "What a step costs on this machine, with ONNX Runtime on the same graph beside it, one thread each.",
            (
                *("profile", here, "--compare", graph),
                *("--json", str(folder / "profile.json"), "--csv", str(folder / "profile.csv")),
            ),
        ),
    ]


def run(step: Step, number: int, folder: Path) -> None:
    """Explain a step, show its command, run it and say how long it took; exit with its code if it fails."""
    print(f"\n{LINE}\n{number}. {step.title}\n\n{textwrap.fill(step.before, WIDTH)}\n")
    print(f"$ astroedge {shlex.join(step.command)}\n", flush=True)
    # A process of its own, as at a prompt: the memory that profile reports is then the bundle's, not the compiler's.
    command, start = [sys.executable, "-m", "astroedge", *step.command], time.perf_counter()
    is_text = step.command[0] == "run"
    result = subprocess.run(command, capture_output=is_text, encoding="utf-8", check=False)
    if is_text:
        print(result.stdout + result.stderr, end="")
        (folder / "text.txt").write_text(result.stdout, encoding="utf-8")
    if result.returncode:
        sys.exit(result.returncode)
    print(f"\n({time.perf_counter() - start:.1f} s) {step.after}".rstrip(), flush=True)


def summary(folder: Path) -> str:
    """What was found, where everything is, and what to do next."""
    profile = json.loads((folder / "profile.json").read_text(encoding="utf-8"))
    forced = json.loads((folder / "verification.json").read_text(encoding="utf-8"))["forced"]
    beside = profile["comparison"]
    board = folder / "char_lm-pi4.astro"
    return f"""
{LINE}
Done. {forced["spikes_compared"]:,} spikes were compared with ONNX Runtime and \
{forced["spikes_flipped"] or "none"} differed.
A step takes {beside["ours"] / 1000:.1f} µs here; ONNX Runtime takes {beside["theirs"] / 1000:.1f} µs, \
{beside["ratio"]:.1f} times as long.

Everything is in {folder}:
  char_lm.onnx         the step graph; any ONNX tool opens it
  char_lm.astro        the bundle for this machine
  char_lm-int8.astro   the same with int8 weights; char_lm-int8.dequantised.onnx is its exact reference
  char_lm-pi4.astro    the bundle for a Raspberry Pi 4
  held-out.txt, verification.json, text.txt, profile.json, profile.csv

On a Raspberry Pi (64-bit system) that SSH reaches, from here:
  astroedge profile {folder}/char_lm.onnx --device ssh://pi@raspberrypi.local

Or on it, after `make offline` here and copying dist/offline and {board.name} there (docs/installing.md):
  python3 -m venv astro && astro/bin/pip install --no-index --find-links offline astroedge
  astro/bin/astroedge verify {board.name}
  astro/bin/astroedge run {board.name} --prompt "{PROMPT}"

With your own model: astroedge export path/to/file.py:factory -o net.onnx, and the same commands (README.md).
"""


def main() -> None:
    """Run all steps."""
    from corpus import load_corpus  # from this script's own folder

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("build/demo"), help="folder for everything (build/demo)")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    (folder / HELD_OUT).write_bytes(b"".join(load_corpus().held_out))
    checkpoint = CHECKPOINT.relative_to(Path.cwd()) if CHECKPOINT.is_relative_to(Path.cwd()) else CHECKPOINT
    for number, step in enumerate(steps(folder, checkpoint), start=1):
        run(step, number, folder)
    print(summary(folder))


if __name__ == "__main__":
    main()
