"""Large AstroSNNs with random weights: made, exported and compiled, each stage in a process of its own.

    python -m benchmarks.networks.large STAGE --weights 500M --folder FOLDER [--rate 0.1]

A stage is `make`, `export` or `compile PRECISION`; it leaves its file in the folder for the next.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError

import astroedge
from astroedge.errors import AstroEdgeError
from astroedge.models import AstroSNN, AstroSNNConfig, AstroSNNStep
from astroedge.workflows.compile_graph import compile_to
from benchmarks.networks.calibrate import astrosnn_patient, calibrate
from benchmarks.networks.suite import HEADLINE_RATE

VOCABULARY, HEAD_WIDTH = 256, 64
WIDTHS = {1024: 0, 2048: 300_000_000}  # from how many weights on a network has which width
STREAMS, CHUNKS = 2, 30  # of the calibration
EXAMPLES = 64
MODEL, GRAPH = "network.safetensors", "network.onnx"


def configuration(weights: int) -> AstroSNNConfig:
    """An AstroSNN of about so many weights, at least one layer: 13 · layers · width² and a little."""
    width = max(width for width, least in WIDTHS.items() if weights >= least)
    layers = max(1, round(weights / (13 * width**2)))
    return AstroSNNConfig(
        VOCABULARY, width, width // HEAD_WIDTH, 4 * width, layers, shortest_memory=4.0, longest_memory=32.0, dropout=0.0
    )


def folder_of(parent: Path, config: AstroSNNConfig, rate: float = HEADLINE_RATE) -> Path:
    """The folder of a network inside `parent`: its width and layers, and the rate where it is not the suite's."""
    return parent / f"{config.width}x{config.layers}{'' if rate == HEADLINE_RATE else f'-{rate:g}'}"


def bundle_in(folder: Path, precision: str) -> Path:
    """Where the bundle of a network lies in its folder."""
    return folder / f"{precision}.astro"


def empty_step(config: AstroSNNConfig) -> AstroSNNStep:
    """The step without memory for its weights."""
    with torch.device("meta"):
        return AstroSNNStep(AstroSNN(config))


def count_weights(config: AstroSNNConfig) -> int:
    """Number of weights, biases and embeddings."""
    return sum(parameter.numel() for parameter in empty_step(config).parameters())


@torch.no_grad()
def make(folder: Path, config: AstroSNNConfig, rate: float) -> None:
    """Random weights, calibrated; what is kept is the step that is exported."""
    torch.manual_seed(0)
    model = AstroSNN(config).eval().requires_grad_(False)
    generator = np.random.default_rng(1)

    def draw(ticks: int) -> torch.Tensor:
        return torch.from_numpy(generator.integers(0, VOCABULARY, (STREAMS, ticks)))

    reached = calibrate(astrosnn_patient(model, STREAMS, draw), rate, CHUNKS)
    rates = sorted(reached.values())
    print(f"groups fire at {rates[0]:.1%} to {rates[-1]:.1%}, on average at {sum(rates) / len(rates):.1%}", flush=True)
    known = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    decays = {f"model.{name}.value": module for name, module in model.named_modules() if name}
    stored = {name: known[name] if name in known else decays[name]() for name in empty_step(config).state_dict()}
    safetensors.torch.save_file(stored, folder / MODEL)


def export(folder: Path, config: AstroSNNConfig) -> None:
    """Export the step, whose weights stay where their file is mapped."""
    step = empty_step(config)
    step.load_state_dict(safetensors.torch.load_file(folder / MODEL), assign=True)
    state = [torch.zeros(tensor.shape) for tensor in step.initial_state()]
    generator = np.random.default_rng(2)
    examples = [(torch.tensor([token]),) for token in generator.integers(0, VOCABULARY, EXAMPLES)]
    graph = astroedge.export(step, examples[0], state, examples=examples, progress=_say)
    print(graph.parity, flush=True)
    graph.save(folder / GRAPH)


def compile_network(folder: Path, precision: str) -> None:
    """Compile the graph for this machine, compared with ONNX Runtime as always."""
    compile_to(bundle_in(folder, precision), folder / GRAPH, precision=precision, progress=_say)


def command(stage: str, weights: int, folder: Path, rate: float = HEADLINE_RATE) -> list[str]:
    """What runs a stage in a process of its own, from the root of the repository."""
    own = [sys.executable, "-m", __spec__.name, *stage.split()]
    return [*own, "--weights", str(weights), "--folder", str(folder), "--rate", str(rate)]


def parse_weights(text: str) -> int:
    """50M → 50,000,000."""
    match = re.fullmatch(r"([\d.]+)([KMB]?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of weights; write 500M or 1.5B.")
    return round(float(match[1]) * {"": 1, "K": 10**3, "M": 10**6, "B": 10**9}[match[2]])


def main(given: Sequence[str] | None = None) -> None:
    """Run one stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("make", "export", "compile"))
    parser.add_argument("precision", nargs="?", default="int8")
    parser.add_argument("--weights", type=parse_weights, required=True)
    parser.add_argument("--rate", type=float, default=HEADLINE_RATE)
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args(given)
    if not 0 < arguments.rate < 1:
        parser.error("--rate must lie between 0 and 1")
    try:
        _run(arguments)
    except (AstroEdgeError, OSError, SafetensorError) as error:
        parser.exit(1, f"{error}\n")


def _run(arguments: argparse.Namespace) -> None:
    config = configuration(arguments.weights)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if arguments.stage == "make":
        make(arguments.folder, config, arguments.rate)
    elif arguments.stage == "export":
        export(arguments.folder, config)
    else:
        compile_network(arguments.folder, arguments.precision)


def _say(stage: str) -> None:
    print(f"   {stage}", flush=True)


if __name__ == "__main__":
    main()
