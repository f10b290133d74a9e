"""Train the example language model: `python examples/char_lm/train.py`, no download, under half an hour on one core.

An AstroSNN reads Python's documentation topics byte by byte, many places of the text at once, with its state carried
from one window to the next and the gradient cut between windows. The loss is the cross-entropy plus a penalty on
firing rates outside 5 … 15 %.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from astroedge.models import AstroSNN, AstroSNNConfig, load_checkpoint, save_checkpoint
from corpus import load_corpus
from evaluate import measure

CHECKPOINT = Path(__file__).with_name("astrosnn.safetensors")
STEPS = 7000
LANES, WINDOW = 16, 64
LEARNING_RATE, WARM_UP, WEIGHT_DECAY, CLIP = 1e-2, 100, 0.1, 1.0
LOWEST_RATE, HIGHEST_RATE, RATE_WEIGHT = 0.05, 0.15, 20.0
EXCERPTS, EXCERPT = 8, 256  # of training text, kept in the checkpoint for what is measured when it is exported


def main() -> None:
    """Train, save in float16 (read back as float32), and say how the saved model does on text it has not seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=STEPS, help="optimiser steps (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=CHECKPOINT, help="checkpoint to write (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, dropout and text order (default: 0)")
    parser.add_argument("--tuning", action="store_true", help="judge on a slice of the training topics instead")
    arguments = parser.parse_args()

    torch.set_num_threads(1)  # the operations are small: more threads gain little, and lose much on a busy machine
    corpus = load_corpus(arguments.tuning)
    torch.manual_seed(arguments.seed)
    model = AstroSNN(AstroSNNConfig())
    train(model, corpus.training, arguments.steps, arguments.seed)
    save_checkpoint(model.half(), arguments.out, example_of(corpus.training))
    bits, rates = measure(load_checkpoint(arguments.out), b"".join(corpus.held_out))
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.2f} MB, {bits:.3f} bits per byte on unseen text")
    print("firing rates: " + ", ".join(f"{name} {rate:.1%}" for name, rate in rates.items()))


def train(model: AstroSNN, documents: list[bytes], steps: int, seed: int) -> list[float]:
    """Train `model` in place for `steps` optimiser steps; returns the cross-entropy of every step in bits per byte."""
    optimiser = torch.optim.AdamW(parameter_groups(model), lr=LEARNING_RATE, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_factor(step, steps))
    state = model.initial_state(LANES)
    windows, history = stream_windows(documents, random.Random(seed)), []
    model.train()
    with _progress_bar() as progress:
        task = progress.add_task("training", total=steps, bits=math.nan)
        for _ in range(steps):
            tokens, fresh = next(windows)
            state = model.initial_state(LANES) if fresh else [tensor.detach() for tensor in state]
            spikes: dict[str, Tensor] = {}
            logits, state = model(tokens[:, :-1], state, spikes)
            loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
            optimiser.zero_grad(set_to_none=True)
            (loss + RATE_WEIGHT * rate_penalty(spikes)).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimiser.step()
            schedule.step()
            history.append(loss.item() / math.log(2))
            recent = history[-100:]
            progress.update(task, advance=1, bits=sum(recent) / len(recent))
    model.eval()
    return history


def example_of(documents: list[bytes]) -> Tensor:
    """Bytes from several places of the text, one excerpt after the other."""
    text = b"".join(documents)
    starts = range(0, len(text), -(-len(text) // EXCERPTS))
    return torch.tensor(list(b"".join(text[start : start + EXCERPT] for start in starts)), dtype=torch.uint8)


def stream_windows(documents: list[bytes], order: random.Random) -> Iterator[tuple[Tensor, bool]]:
    """Endless windows `(LANES, WINDOW + 1)` of the text, each lane going on where its last window ended.

    The documents are shuffled and cut into lanes anew after every pass; the flag says that a pass begins, so that the
    state starts fresh.
    """
    documents = list(documents)
    while True:
        order.shuffle(documents)
        text = torch.frombuffer(bytearray(b"".join(documents)), dtype=torch.uint8).long()
        length = (len(text) - 1) // LANES
        lanes = torch.stack([text[lane * length : (lane + 1) * length + 1] for lane in range(LANES)])
        for start in range(0, max(length - WINDOW, 1), WINDOW):
            yield lanes[:, start : start + WINDOW + 1], start == 0


def rate_penalty(spikes: dict[str, Tensor]) -> Tensor:
    """How far mean firing rates lie outside `LOWEST_RATE` … `HIGHEST_RATE`, squared and summed over all tensors."""
    rates = torch.stack([tensor.mean() for tensor in spikes.values()])
    return (F.relu(rates - HIGHEST_RATE) ** 2 + F.relu(LOWEST_RATE - rates) ** 2).sum()


def rate_factor(step: int, steps: int) -> float:
    """The learning rate's share of its peak: a linear warm-up, then half a cosine down to zero."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / max(1, steps - WARM_UP)))


def parameter_groups(model: AstroSNN) -> list[dict[str, object]]:
    """Weight decay for matrices; none for biases, norms and the parameters of decays."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def _progress_bar() -> Progress:
    """Steps done, time left and the mean of the last hundred losses."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[bits]:.3f} bits per byte"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )


if __name__ == "__main__":
    main()
