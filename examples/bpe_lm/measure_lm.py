"""Measure the committed network on the held-out text: `python examples/bpe_lm/measure_lm.py`.

Its compiled step in three precisions reads the text as one stream, by the commands that the README shows. Beside it
stand Kneser–Ney n-grams of the same training text, over bytes and over the same tokens; the byte-level network of
`examples/char_lm`, trained on less; and `xz -9` given the held-out text alone. Writes `results.json`, and the tables of
the README from it; with `--page` only those.
"""

from __future__ import annotations

import argparse
import json
import lzma
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from astroedge.models import AstroSNN, load_checkpoint
from astroedge.replace_file import replace_file
from english import Corpus, load_corpus
from make_tokenizer import TOKENIZER, TOKENS, read_documents
from n_grams import NGrams

FOLDER = Path(__file__).parent
README, RESULTS, TRAINING = FOLDER / "README.md", FOLDER / "results.json", FOLDER / "training.json"
CHECKPOINT, BYTES_CHECKPOINT = FOLDER / "astrosnn.safetensors", FOLDER.parent / "char_lm" / "astrosnn.safetensors"
BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"
PRECISIONS = ("float32", "int8", "int4")
BYTE_ORDERS, TOKEN_ORDERS = (4, 6, 8), (2, 3, 4)
WINDOW, RATED = 1024, 20_480  # tokens of a window, and of the text that firing rates are means over


def main() -> None:
    """Measure, write the record and put its tables into the README."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=Path("out/bpe_lm"), help="for bundles (default: %(default)s)")
    parser.add_argument("--page", action="store_true", help="only write the README's tables from the record")
    arguments = parser.parse_args()
    if not arguments.page:
        torch.set_num_threads(1)
        arguments.build.mkdir(parents=True, exist_ok=True)
        trained = json.loads(TRAINING.read_text("utf-8"))["corpus"]
        try:
            corpus = load_corpus()
        except ValueError as error:
            parser.exit(1, f"{error}\n")
        if corpus.fingerprint() != trained:
            parser.exit(1, "The packages here are not those that the network learnt from: install constraints.txt's.\n")
        replace_file(RESULTS, (json.dumps(measure(corpus, arguments.build), indent=2) + "\n").encode())
    tables = render(json.loads(RESULTS.read_text("utf-8")), json.loads(TRAINING.read_text("utf-8")))
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    replace_file(README, (before + BEGIN + tables + END + rest.split(END)[1]).encode())
    print(tables)


def measure(corpus: Corpus, build: Path) -> dict[str, Any]:
    """Everything the tables hold."""
    held_out = "".join(corpus.held_out)
    text = build / "held-out.txt"
    text.write_text(held_out, encoding="utf-8")
    found = evaluate(CHECKPOINT, text, build, PRECISIONS, "--tokenizer", str(TOKENIZER))
    byte_model = evaluate(BYTES_CHECKPOINT, text, build, PRECISIONS[:1])
    tokens = torch.cat(read_documents(corpus.held_out))
    return {
        "corpus": corpus.fingerprint(),
        "sources": [list(row) for row in corpus.table],
        "held_out": {"bytes": len(held_out), "tokens": len(tokens)},
        "precisions": found,
        "others": {
            "AstroSNN over bytes of `examples/char_lm`": byte_model[0]["bits per byte"],
            **{f"Kneser–Ney {n}-gram over bytes": bits for n, bits in byte_grams(corpus)},
            **{f"Kneser–Ney {n}-gram over the tokens": bits for n, bits in token_grams(corpus)},
            "`xz -9`, held-out text alone": 8 * len(lzma.compress(held_out.encode(), preset=9)) / len(held_out),
        },
        "rates": firing_rates(load_checkpoint(CHECKPOINT), tokens[:RATED]),
    }


def evaluate(
    checkpoint: Path, text: Path, build: Path, precisions: Iterable[str], *options: str
) -> list[dict[str, Any]]:
    """Bits per byte of a bundle in each precision, and the bytes of its weights, by `astroedge`."""
    name = checkpoint.parent.name
    graph, record = build / f"{name}.onnx", build / f"{name}.json"
    bundles = {precision: build / f"{name}-{precision}.astro" for precision in precisions}
    astroedge("export", str(checkpoint), "--name", name, "-o", str(graph), *options)
    for precision, bundle in bundles.items():
        astroedge("compile", str(graph), "--precision", precision, "-o", str(bundle))
    chosen = map(str, bundles.values())
    astroedge("eval", *chosen, "--data", str(text), "--json", str(record))
    contenders = json.loads(record.read_text(encoding="utf-8"))["contenders"]
    bits = [next(value for key, value in item["metrics"].items() if key.startswith("bits")) for item in contenders]
    return [
        {"name": label, "bytes": item["weights_bytes"], "bits per byte": value}
        for label, item, value in zip(bundles, contenders, bits, strict=True)
    ]


def astroedge(*arguments: str) -> None:
    """Run a command of `astroedge` and show it; what it cannot do ends this program."""
    print("$ astroedge", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "astroedge", *arguments], check=True)


def byte_grams(corpus: Corpus) -> Iterable[tuple[int, float]]:
    """Bits per byte of n-grams over bytes, by their order; the text follows a line end."""
    training, held_out = (
        np.frombuffer("".join(side).encode(), np.uint8) for side in (corpus.training, corpus.held_out)
    )
    for order in BYTE_ORDERS:
        yield order, NGrams(training, order, 256).bits_of(held_out, ord("\n")) / len(held_out)


def token_grams(corpus: Corpus) -> Iterable[tuple[int, float]]:
    """Bits per byte of n-grams over the network's tokens, by their order; the text follows a line end."""
    training, held_out = (torch.cat(read_documents(side)).numpy() for side in (corpus.training, corpus.held_out))
    nbytes = sum(map(len, corpus.held_out))
    for order in TOKEN_ORDERS:
        yield order, NGrams(training, order, TOKENS).bits_of(held_out, training[-1]) / nbytes


def firing_rates(model: AstroSNN, tokens: Tensor) -> dict[str, float]:
    """The mean rate of every spike tensor while the network reads tokens `(T,)` as one stream."""
    state, fired = model.initial_state(1), dict[str, float]()
    with torch.no_grad():
        for window in tokens.split(WINDOW):
            spikes: dict[str, Tensor] = {}
            _, state = model(window[None], state, spikes)
            for name, tensor in spikes.items():
                fired[name] = fired.get(name, 0.0) + tensor.mean((1, 2)).sum().item()
    return {name: total / len(tokens) for name, total in fired.items()}


def render(results: dict[str, Any], training: dict[str, Any]) -> str:
    """The README's tables, in Markdown."""
    sources, held_out = results["sources"], results["held_out"]
    read, kept = (sum(row[side] for row in sources) for side in (2, 3))
    lines = [
        f"{training['weights']:,} weights, trained on {training['tokens']:,} tokens ({training['passes']:.1f} passes) "
        f"in {training['processor_seconds'] / 3600:.2f} hours of processor time, on one thread of "
        f"{training['machine']['cpu']}.",
        "",
        f"{read:,} bytes of training text, {kept:,} bytes held out ({held_out['tokens']:,} tokens).",
        "",
        "| | bits per byte, held out | weights file |",
        "|---|---:|---:|",
        *(
            f"| AstroSNN, {item['name']} | {item['bits per byte']:.3f} | {_size(item['bytes'])} |"
            for item in results["precisions"]
        ),
        *(f"| {name} | {bits:.3f} | |" for name, bits in results["others"].items()),
        *("", "| source | licence | training | held out |", "|---|---|---:|---:|"),
        *(f"| {name} | {licence} | {kept:,} | {left:,} |" for name, licence, kept, left in sources),
        *("", "| spikes | firing rate |", "|---|---:|"),
        *(f"| `{name}` | {rate:.1%} |" for name, rate in results["rates"].items()),
    ]
    return "\n".join(lines) + "\n"


def _size(nbytes: int | None) -> str:
    return "" if nbytes is None else f"{nbytes / 1e6:.1f} MB"


if __name__ == "__main__":
    main()
