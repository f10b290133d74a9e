"""N-parity: is the number of ones among the last N bits odd? Asked at the last tick of a sequence of random bits.

The curriculum of arXiv 2309.12927: one head for each of N = 2, 3, …, all trained together, and the next joins when the
last reaches 98 %. Sequences have N + 2 … 4 N + 1 bits, evenly. Bits are drawn, so there is no data to run out of:
training draws its own. The network that is kept has one head, that of N = `LAST`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from frame.recipe import ACCURACY, Progress, Recipe, Series, Task
from torch import Tensor, nn

from astroedge.models import LearntTauRNN

FIRST, LAST = 2, 8
UNITS = 100
BATCH, MOST_STEPS, RATE, CLIP = 128, 6000, 1e-3, 1.0
ENOUGH, MEMORY = 0.98, 0.9  # the accuracy at which N grows, a mean that keeps this share of itself a step
SETTLING = 300  # steps with all heads
SEQUENCES = 1000  # of training, which nothing reads but counts, and of the held-out set

# Bits (T, B, 1) → scores of all heads at the last tick (B, heads, 2).
Reader = Callable[[Tensor], Tensor]


class GRUParity(nn.Module):
    """One GRU layer and the heads: what the network is compared with."""

    def __init__(self, units: int, heads: int) -> None:
        """Fresh weights from torch's global generator."""
        super().__init__()
        self.heads, self.cell, self.head = heads, nn.GRU(1, units), nn.Linear(units, 2 * heads)

    def forward(self, bits: Tensor) -> Tensor:
        """Bits `(T, B, 1)` → scores of all heads at the last tick."""
        return self.head(self.cell(bits)[0][-1]).unflatten(-1, (self.heads, 2))  # type: ignore[no-any-return]


def load() -> tuple[Series, Series]:
    """Sequences for N = `LAST`, of two seeds that no training has."""
    return sequences(LAST, torch.Generator().manual_seed(1001)), sequences(LAST, torch.Generator().manual_seed(1002))


def sequences(n: int, generator: torch.Generator) -> Series:
    """Random bits and the parity of the last `n` of each sequence."""
    inputs = [draw(n, 1, generator)[:, 0] for _ in range(SEQUENCES)]
    return Series(inputs, torch.stack([parity(bits[:, None], n)[0] for bits in inputs]))


def draw(n: int, batch: int, generator: torch.Generator) -> Tensor:
    """Bits `(T, batch, 1)` as float32, T one of `n` + 2 … 4 `n` + 1."""
    ticks = int(torch.randint(n + 2, 4 * n + 2, (), generator=generator))
    return torch.randint(2, (ticks, batch, 1), generator=generator).float()


def parity(bits: Tensor, n: int) -> Tensor:
    """1 where the last `n` of `bits (T, B, 1)` hold an odd number of ones, `(B,)` int64."""
    return bits[-n:, :, 0].sum(0).long() % 2


def grow(model: nn.Module, read: Reader, seed: int, progress: Progress) -> None:
    """The curriculum, up to `LAST` and `SETTLING` steps more, with a falling rate, or `MOST_STEPS` in all."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    n, right, left = FIRST, 0.0, SETTLING
    for _ in range(MOST_STEPS):
        bits = draw(n, BATCH, generator)
        scores = read(bits)[:, : n - FIRST + 1]
        labels = torch.stack([parity(bits, asked) for asked in range(FIRST, n + 1)], 1)
        loss = F.cross_entropy(scores.flatten(0, 1), labels.flatten())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimiser.step()
        right = MEMORY * right + (1 - MEMORY) * float((scores[:, -1].argmax(-1) == labels[:, -1]).float().mean())
        if n < LAST and right > ENOUGH:
            n, right = n + 1, 0.0
        elif n == LAST and (right > ENOUGH or left < SETTLING):
            left -= 1
            optimiser.param_groups[0]["lr"] = RATE * left / SETTLING
            if not left:
                break
        progress((n - FIRST + 1) / (LAST - FIRST + 2))
    progress(1.0)


def train(model: nn.Module, training: Series, seed: int, progress: Progress) -> None:
    """All heads, of which the step keeps the last."""
    whole = LearntTauRNN(1, UNITS, LAST - FIRST + 1)
    start = torch.zeros(BATCH, UNITS)
    grow(whole, lambda bits: whole.sequence(bits, start)[0][-1], seed, progress)
    found = whole.state_dict()
    for name in ("V.weight", "V.bias"):
        found[name] = found[name][-2:]
    model.load_state_dict(found)


@cache
def gru_accuracy(weights: int) -> tuple[int, float]:
    """Weights, those of one head, and accuracy of a GRU of about `weights` trained in the same way, with seed 0."""
    sizes = {units: 3 * units * (units + 3) + 2 * (units + 1) for units in range(8, 512)}
    units = min(sizes, key=lambda units: abs(sizes[units] - weights))
    torch.manual_seed(0)
    model = GRUParity(units, LAST - FIRST + 1)
    grow(model, model, 0, lambda share: None)
    _, held_out = load()
    with torch.no_grad():
        answers = [model(bits[:, None])[0, -1].argmax() for bits in held_out.inputs]
    return sizes[units], float((torch.stack(answers) == held_out.labels).float().mean())


def baselines(training: Series, held_out: Series, weights: int) -> dict[str, float]:
    """A GRU of the same number of weights, and the more frequent answer."""
    size, accuracy = gru_accuracy(weights)
    odd = float(held_out.labels.float().mean())
    return {f"GRU of {size:,} weights": accuracy, "the more frequent answer": max(odd, 1 - odd)}


TASK = Task(
    title=f"parity of the last {LAST} bits",
    data=f"random bits, {LAST + 2} to {4 * LAST + 1} in a sequence",
    labels=("even", "odd"),
    metric=ACCURACY,
    readout="last",
    load=load,
    baselines=baselines,
)

RECIPES = (
    Recipe(
        name="learnt-tau-parity",
        title="RNN with learnt time constants",
        paper="2309.12927",
        confirmed="Equations, start of the time constants and the growing N read in the authors' code; "
        f"{UNITS} units instead of 500, a start at h = 0, batch and rate are ours.",
        model="LearntTauRNN",
        arguments={"inputs": 1, "units": UNITS, "heads": 1},
        task=TASK,
        train=train,
    ),
)
