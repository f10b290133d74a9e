"""Text, byte by byte: Python's documentation topics, the corpus of examples/char_lm, read by four networks of one size.

Each held-out topic is a text of its own, read from the initial state after a line end. All networks see the same bytes
of training text, two passes so that a training takes a minute or two, with the same optimiser. Learning rates were
chosen among two or three in short runs on `load_corpus(tuning=True)`, a slice of the training topics; AstroSNN's is
that of `examples/char_lm`, the GRU's was not searched. BDH, which learns nothing but pairs of bytes so quickly, makes
five passes, in longer windows. Training reads excerpts of at most `EXCERPT` bytes, `LANES` of them at once, a window at
a time with the state carried on and the gradient cut between windows.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

import torch
import torch.nn.functional as F
from frame.recipe import BITS, EVERY_TICK, Progress, Recipe, Series, Task
from torch import Tensor, nn

from astroedge.models import AstroSNN, AstroSNNStep
from corpus import load_corpus
from kneser_ney import KneserNey

LANES, WINDOW, EXCERPT = 16, 32, 1024
STEPS = 1500
BDH_STEPS, BDH_WINDOW = 1000, 128
GRU_RATE = 5e-3
WARM_UP, WEIGHT_DECAY, CLIP = 50, 0.1, 1.0
LOWEST_RATE, HIGHEST_RATE, RATE_WEIGHT = 0.05, 0.15, 20.0
NOTHING = -100  # a target behind the end of a text, which cross_entropy leaves out
EMBEDDING = 64  # width of the GRU's

Spikes = dict[str, Tensor]
# Tokens (B, T), state and where to note spikes → logits (B, T, 256) and the next state.
Reader = Callable[[Tensor, list[Tensor], Spikes], tuple[Tensor, list[Tensor]]]


class GRULanguageModel(nn.Module):
    """Embedding → one GRU layer → logits: what the networks are compared with."""

    def __init__(self, units: int) -> None:
        """Fresh weights from torch's global generator."""
        super().__init__()
        self.embedding, self.head = nn.Embedding(256, EMBEDDING), nn.Linear(units, 256)
        self.cell = nn.GRU(EMBEDDING, units)

    def initial_state(self, batch: int) -> list[Tensor]:
        """Zeros, the stream first."""
        return [torch.zeros(batch, self.cell.hidden_size)]

    def sequence(self, tokens: Tensor, state: list[Tensor], spikes: Spikes) -> tuple[Tensor, list[Tensor]]:
        """`tokens (B, T)` → logits `(B, T, 256)` and the next state; nothing spikes."""
        outputs, last = self.cell(self.embedding(tokens.t()), state[0][None])
        return self.head(outputs).transpose(0, 1), [last[0]]


@dataclass
class Windows:
    """Endless windows of shuffled excerpts, one a lane; a lane whose excerpt ends goes on with another."""

    texts: Sequence[Tensor]
    order: random.Random
    window: int

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Tokens and what follows them `(LANES, window)`, and which lanes start a fresh excerpt `(LANES,)`."""
        excerpts = [text[i : i + EXCERPT + 1] for text in self.texts for i in range(0, len(text) - 1, EXCERPT)]
        queue: list[Tensor] = []
        lanes = [torch.empty(0, dtype=torch.int64)] * LANES
        while True:
            tokens = torch.zeros(LANES, self.window, dtype=torch.int64)
            following = torch.full((LANES, self.window), NOTHING)
            fresh = torch.zeros(LANES, dtype=torch.bool)
            for lane in range(LANES):
                if len(lanes[lane]) < 2:
                    if not queue:
                        queue = self.order.sample(excerpts, len(excerpts))
                    lanes[lane], fresh[lane] = queue.pop(), True
                part, lanes[lane] = lanes[lane][: self.window + 1], lanes[lane][self.window :]
                tokens[lane, : len(part) - 1], following[lane, : len(part) - 1] = part[:-1], part[1:]
            yield tokens, following, fresh


def load(tuning: bool = False) -> tuple[Series, Series]:
    """Training and held-out topics, a text each, after a line end."""
    corpus = load_corpus(tuning)
    return _series(corpus.training), _series(corpus.held_out)


@dataclass(frozen=True)
class Budget:
    """Updates, ticks of an update, and the peak of the learning rate."""

    rate: float
    steps: int = STEPS
    window: int = WINDOW


def fit(model: nn.Module, read: Reader, training: Series, seed: int, progress: Progress, budget: Budget) -> None:
    """Train `model`, read by `read`, in place: cross-entropy and a penalty on firing rates outside 5 … 15 %."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=budget.rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_factor(step, budget.steps))
    initial: list[Tensor] = model.initial_state(LANES)  # type: ignore[operator]
    state, windows = initial, Windows(training.inputs, random.Random(seed), budget.window)
    model.train()
    for step, (tokens, following, fresh) in zip(range(budget.steps), windows, strict=False):
        state = [_restarted(new, old, fresh) for new, old in zip(initial, state, strict=True)]
        spikes: Spikes = {}
        logits, state = read(tokens, state, spikes)
        loss = F.cross_entropy(logits.flatten(0, 1), following.flatten(), ignore_index=NOTHING)
        if spikes:
            loss = loss + RATE_WEIGHT * rate_penalty(spikes)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, CLIP)
        optimiser.step()
        schedule.step()
        progress((step + 1) / budget.steps)
    model.eval()


def rate_penalty(spikes: Spikes) -> Tensor:
    """How far mean firing rates lie outside `LOWEST_RATE` … `HIGHEST_RATE`, squared and summed over all tensors."""
    rates = torch.stack([tensor.mean() for tensor in spikes.values()])
    return (F.relu(rates - HIGHEST_RATE) ** 2 + F.relu(LOWEST_RATE - rates) ** 2).sum()


def rate_factor(step: int, steps: int) -> float:
    """The learning rate's share of its peak: a linear warm-up, then half a cosine down to zero."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / max(1, steps - WARM_UP)))


def train_sequence(model: nn.Module, training: Series, seed: int, progress: Progress, *, budget: Budget) -> None:
    """A model whose `sequence` notes spikes."""
    fit(model, model.sequence, training, seed, progress, budget)  # type: ignore[arg-type]


def train_spikegpt(model: nn.Module, training: Series, seed: int, progress: Progress, *, budget: Budget) -> None:
    """SpikeGPT, whose branches start four times as strong as torch has them, so that their neurons fire at once."""
    with torch.no_grad():
        for block in model.blocks:  # type: ignore[union-attr]
            block.W_o.weight *= 4
            block.C_v.weight *= 4
    train_sequence(model, training, seed, progress, budget=budget)


def train_bdh(model: nn.Module, training: Series, seed: int, progress: Progress, *, budget: Budget) -> None:
    """BDH, in which no neuron spikes."""
    fit(model, lambda tokens, state, _: model.sequence(tokens, state), training, seed, progress, budget)  # type: ignore[operator]


def train_astrosnn(model: nn.Module, training: Series, seed: int, progress: Progress, *, budget: Budget) -> None:
    """The AstroSNN behind a step, whose decays are learnt and then frozen in it."""
    whole = AstroSNN(model.model.config)  # type: ignore[union-attr, arg-type]
    fit(whole, whole, training, seed, progress, budget)
    model.load_state_dict(AstroSNNStep(whole).state_dict())


def bits_per_byte(model: nn.Module, read: Reader, texts: Series) -> float:
    """Bits per byte over all texts, each from the initial state, by torch."""
    nats, ticks = 0.0, 0
    with torch.no_grad():
        for text in texts.inputs:
            logits, _ = read(text[None, :-1], model.initial_state(1), {})  # type: ignore[operator]
            nats += F.cross_entropy(logits[0], text[1:], reduction="sum").item()
            ticks += len(text) - 1
    return nats / math.log(2) / ticks


@cache
def gru_result(weights: int) -> tuple[int, float]:
    """Weights and bits per byte of a GRU of about `weights` weights, trained as the networks are, with seed 0."""
    sizes = {units: _gru_weights(units) for units in range(16, 1024)}
    units = min(sizes, key=lambda units: abs(sizes[units] - weights))
    training, held_out = load()
    torch.manual_seed(0)
    model = GRULanguageModel(units)
    fit(model, model.sequence, training, 0, lambda share: None, Budget(GRU_RATE))
    return sizes[units], bits_per_byte(model, model.sequence, held_out)


@cache
def n_gram_results() -> dict[str, float]:
    """Bits per byte of Kneser–Ney n-grams, each held-out topic after a line end."""
    corpus, found = load_corpus(), {}
    for order in (3, 4, 5, 6):
        grams = KneserNey(b"".join(corpus.training), order)
        bits = sum(len(text) * grams.bits_per_byte(text) for text in corpus.held_out)
        found[f"Kneser–Ney {order}-gram"] = bits / sum(map(len, corpus.held_out))
    return found


def baselines(training: Series, held_out: Series, weights: int) -> dict[str, float]:
    """Kneser–Ney n-grams of the same training text, and a GRU of the same number of weights."""
    size, bits = gru_result(weights)
    return {**n_gram_results(), f"GRU of {size:,} weights": bits}


def _gru_weights(units: int) -> int:
    return 256 * EMBEDDING + 3 * units * (EMBEDDING + units + 2) + 257 * units


def _restarted(new: Tensor, old: Tensor, fresh: Tensor) -> Tensor:
    """The state `old` without its history, and `new` in lanes that start afresh."""
    return torch.where(fresh.reshape(-1, *[1] * (new.ndim - 1)), new, old.detach())


def _series(documents: list[bytes]) -> Series:
    texts = [torch.tensor(list(b"\n" + document)) for document in documents]
    return Series(texts, torch.zeros(len(texts), dtype=torch.int64))


TASK = Task(
    title="text, byte by byte",
    data="pydoc_data.topics of Python, each held-out topic from the initial state",
    labels=(),
    metric=BITS,
    readout=EVERY_TICK,
    load=load,
    baselines=baselines,
)

RECIPES = (
    Recipe(
        name="astrosnn-text",
        title="AstroSNN",
        paper="2312.07625",
        confirmed="Three equations of the astrocyte-modulated unit are the authors'; the rest of the network is ours.",
        model="AstroSNN",
        arguments={"width": 96, "heads": 4, "feed_forward": 192, "layers": 2, "dropout": 0.0},
        task=TASK,
        train=partial(train_astrosnn, budget=Budget(1e-2)),
    ),
    Recipe(
        name="bdh-text",
        title="BDH-GPU",
        paper="2509.26507",
        confirmed="Equations read in the authors' code, without dropout; the size is ours.",
        model="BDH",
        arguments={"width": 96, "heads": 4, "neurons": 144, "layers": 2},
        task=TASK,
        train=partial(train_bdh, budget=Budget(3e-3, BDH_STEPS, BDH_WINDOW)),
    ),
    Recipe(
        name="spikegpt-text",
        title="SpikeGPT",
        paper="2302.13939",
        confirmed="Equations read in the authors' code; size and start of the weights are ours.",
        model="SpikeGPT",
        arguments={"width": 96, "layers": 2, "feed_forward": 192},
        task=TASK,
        train=partial(train_spikegpt, budget=Budget(1e-2)),
    ),
    Recipe(
        name="egru-text",
        title="EGRU",
        paper="2206.06178",
        confirmed="The unit is read in the authors' code, without zoneout; size, readout and surrogate are ours.",
        model="EGRULanguageModel",
        arguments={"widths": [64, 192]},
        task=TASK,
        train=partial(train_sequence, budget=Budget(1e-2)),
    ),
)
