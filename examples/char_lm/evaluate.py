"""Measure the committed checkpoint and write the tables of this folder's README: `python examples/char_lm/evaluate.py`.

The held-out topics are read as one stream, the state carried from the first byte to the last. Beside the model stand
Kneser–Ney n-grams trained on the same training text, and `xz -9` given the held-out text alone.
"""

from __future__ import annotations

import lzma
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from astroedge.models import AstroSNN, load_checkpoint
from corpus import Corpus, load_corpus
from kneser_ney import KneserNey

FOLDER = Path(__file__).parent
BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"
WINDOW = 1024


def main() -> None:
    """Measure, print the tables and put them into the README."""
    model, corpus = load_checkpoint(FOLDER / "astrosnn.safetensors"), load_corpus()
    tables = results(model, corpus)
    print(tables)
    readme = FOLDER / "README.md"
    before, rest = readme.read_text().split(BEGIN)
    readme.write_text(before + BEGIN + tables + END + rest.split(END)[1])


def results(model: AstroSNN, corpus: Corpus) -> str:
    """Both tables, in Markdown: bits per byte of everything compared, and the model's firing rates."""
    training, held_out = b"".join(corpus.training), b"".join(corpus.held_out)
    weights = sum(parameter.numel() for parameter in model.parameters())
    bits, rates = measure(model, held_out)
    rows = [(f"AstroSNN, {weights:,} weights", bits)]
    rows += [(f"Kneser–Ney {n}-gram", KneserNey(training, n).bits_per_byte(held_out)) for n in (3, 4, 5, 6)]
    rows += [("`xz -9`, held-out text alone", 8 * len(lzma.compress(held_out, preset=9)) / len(held_out))]
    lines = [f"{len(training):,} bytes of training text, {len(held_out):,} bytes held out.", ""]
    lines += ["| | bits per byte, held out |", "|---|---:|", *(f"| {name} | {value:.3f} |" for name, value in rows)]
    lines += ["", "| spikes | firing rate |", "|---|---:|"]
    lines += [f"| `{name}` | {rate:.1%} |" for name, rate in rates.items()]
    return "\n".join(lines) + "\n"


def measure(model: AstroSNN, text: bytes) -> tuple[float, dict[str, float]]:
    """Bits per byte over `text`, which follows a line end, and the firing rate of every spike tensor, as one stream."""
    tokens = torch.frombuffer(bytearray(b"\n" + text), dtype=torch.uint8).long()[None]
    state, nats, fired = model.initial_state(1), 0.0, dict[str, float]()
    with torch.no_grad():
        for start in range(0, len(text), WINDOW):
            window = tokens[:, start : start + WINDOW + 1]
            spikes: dict[str, Tensor] = {}
            logits, state = model(window[:, :-1], state, spikes)
            nats += F.cross_entropy(logits[0], window[0, 1:], reduction="sum").item()
            for name, tensor in spikes.items():
                fired[name] = fired.get(name, 0.0) + tensor.mean((1, 2)).sum().item()
    return nats / math.log(2) / len(text), {name: total / len(text) for name, total in fired.items()}


if __name__ == "__main__":
    main()
