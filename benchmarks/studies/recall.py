"""How far back a name is remembered: an AstroSNN beside a GRU and a transformer of its size.

    make bench-recall        or        python -m benchmarks.studies.recall

A sequence is words, one of which is a name that a mark says is to be kept: `… TELL name … ASK`, and at ASK that name
is the answer. In one task other names stand among the words without the mark. All three networks have about as many
weights, see the same kind of sequence with up to `TRAINED` words between the two, few at first and then more, and are
trained for the same processor time on one thread, at rates that are usual for each and hardly searched. They are tested
with 100 to 4,000 words in between, mostly beyond what they were trained on. The transformer sees `CONTEXT` tokens, as
it was built for; what was told before them it cannot know. The AstroSNN's memories start at time scales from `SHORTEST`
to `LONGEST` ticks, chosen for this task.
Writes `results/recall.json`, `recall.md` and `recall.svg` beside this file.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from astroedge.models import AstroSNN, AstroSNNConfig
from benchmarks.places import RESULTS
from benchmarks.report import markdown, pictures
from benchmarks.timing.machine import describe

NAMES, WORDS = 32, 64
TELL, ASK = NAMES + WORDS, NAMES + WORDS + 1
VOCABULARY = NAMES + WORDS + 2
# What stands between: by a task's name the share of the words that are names without the mark.
TASKS = {"words alone": 0.0, "words and other names": 0.1}
FIRST, TRAINED, DISTANCES = 8, 490, (100, 300, 1000, 2000, 4000)
TOKENS, CONTEXT = 1024, 512  # of a training batch, and what the transformer sees
ASKED = 4  # questions in a training sequence
GROWTH = 0.6  # share of the training in which distances grow, from FIRST to TRAINED, evenly in their logarithm
SHORTEST, LONGEST = 512.0, 16384.0
SECONDS, SEEDS, TESTED = 50.0, 1, 128
RATES = {"AstroSNN": 4e-3, "GRU": 3e-3, "transformer": 1e-3}


class Recurrent(nn.Module):
    """Embedding → one GRU layer → logits."""

    def __init__(self, width: int) -> None:
        """Fresh weights from torch's global generator."""
        super().__init__()
        self.embedding, self.head = nn.Embedding(VOCABULARY, width), nn.Linear(width, VOCABULARY)
        self.cell = nn.GRU(width, width, batch_first=True)

    def forward(self, tokens: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`tokens (B, T)` → logits `(B, T, VOCABULARY)` and the state after them."""
        outputs, state = self.cell(self.embedding(tokens), state)
        return self.head(outputs), state


class Transformer(nn.Module):
    """Two causal blocks over learnt positions of `CONTEXT` tokens, as GPT-2 has them."""

    def __init__(self, width: int) -> None:
        """Fresh weights from torch's global generator."""
        super().__init__()
        self.embedding, self.positions = nn.Embedding(VOCABULARY, width), nn.Embedding(CONTEXT, width)
        block = nn.TransformerEncoderLayer(width, 4, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, 2, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, VOCABULARY)

    def forward(self, tokens: Tensor, state: None = None) -> tuple[Tensor, None]:
        """`tokens (B, T)`, of which the last `CONTEXT` are seen → logits of those."""
        seen = tokens[:, -CONTEXT:]
        x = self.embedding(seen) + self.positions.weight[: seen.shape[1]]
        mask = nn.Transformer.generate_square_subsequent_mask(seen.shape[1])
        return self.head(self.blocks(x, mask, is_causal=True)), None


def networks() -> dict[str, Callable[[], nn.Module]]:
    """The three, by name, of nearly as many weights."""
    config = AstroSNNConfig(VOCABULARY, 128, 4, 256, 2, shortest_memory=SHORTEST, longest_memory=LONGEST, dropout=0.0)
    return {
        "AstroSNN": lambda: AstroSNN(config),
        "GRU": lambda: Recurrent(216),
        "transformer": lambda: Transformer(100),
    }


def count(model: nn.Module) -> int:
    """Weights of a network."""
    return sum(parameter.numel() for parameter in model.parameters())


def words(shape: tuple[int, int], unmarked: float, random: torch.Generator) -> Tensor:
    """What stands between: words, and a share of names that nothing marks."""
    filler = torch.randint(NAMES, NAMES + WORDS, shape, generator=random)
    names = torch.randint(NAMES, shape, generator=random)
    return torch.where(torch.rand(shape, generator=random) < unmarked, names, filler)


def training_batch(longest: int, unmarked: float, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Sequences with up to `longest` words between telling and asking, and the answers, −100 where nothing is asked.

    The name is told among the first ten words; distances of the questions are spread evenly in their logarithm.
    """
    length = longest + 14
    lanes = max(4, TOKENS // length)
    tokens = words((lanes, length), unmarked, random)
    answers = torch.full_like(tokens, -100)
    told = torch.randint(10, (lanes,), generator=random)
    name = torch.randint(NAMES, (lanes,), generator=random)
    distances = torch.exp(torch.rand(lanes, ASKED, generator=random) * math.log(longest + 1)).long()
    rows = torch.arange(lanes)
    for column in range(ASKED):
        place = told + 2 + distances[:, column]
        tokens[rows, place], answers[rows, place] = ASK, name
    tokens[rows, told], tokens[rows, told + 1] = TELL, name
    return tokens, answers


def asked_batch(distance: int, unmarked: float, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Sequences in which one name is told and asked for after so many words, and the names."""
    tokens = words((TESTED, distance + 13), unmarked, random)
    name = torch.randint(NAMES, (TESTED,), generator=random)
    tokens[:, 10], tokens[:, 11], tokens[:, -1] = TELL, name, ASK
    return tokens, name


def fit(model: nn.Module, rate: float, unmarked: float, seed: int) -> int:
    """Train for `SECONDS` of processor time, the rate falling along a cosine; returns the tokens that were read."""
    random = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    begin, batches, read, share = time.process_time(), 0, 0, 0.0
    model.train()
    while share < 1:
        factor = min(1.0, (batches + 1) / 50) * 0.5 * (1 + math.cos(math.pi * share))
        for group in optimiser.param_groups:
            group["lr"] = rate * factor
        tokens, answers = training_batch(round(FIRST * (TRAINED / FIRST) ** min(1.0, share / GROWTH)), unmarked, random)
        logits, _ = model(tokens)
        loss = F.cross_entropy(logits.flatten(0, 1), answers.flatten(), ignore_index=-100)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        batches, read, share = batches + 1, read + tokens.numel(), (time.process_time() - begin) / SECONDS
    model.eval()
    return read


def accuracy(model: nn.Module, unmarked: float, distance: int) -> float:
    """The share of names that are right after so many words, of `TESTED`; the same sequences for every network."""
    tokens, names = asked_batch(distance, unmarked, torch.Generator().manual_seed(1_000_003 + distance))
    with torch.no_grad():
        if isinstance(model, Transformer):
            logits, _ = model(tokens)
        else:
            state = None
            for window in tokens.split(CONTEXT, dim=1):
                logits, state = model(window, state)
    return float((logits[:, -1, :NAMES].argmax(1) == names).float().mean())


def measure(seed: int) -> list[dict[str, Any]]:
    """Train and test each network on each task with one seed."""
    return [measure_one(name, task, seed) for task in TASKS for name in networks()]


def measure_one(name: str, task: str, seed: int) -> dict[str, Any]:
    """Train and test one network."""
    torch.manual_seed(seed)
    model = networks()[name]()
    read = fit(model, RATES[name], TASKS[task], seed)
    found = {str(distance): accuracy(model, TASKS[task], distance) for distance in DISTANCES}
    print(f"{task}: {name}, seed {seed}, {read:,} tokens: {found}", flush=True)
    return {"task": task, "network": name, "seed": seed, "weights": count(model), "tokens": read, "accuracy": found}


def main() -> None:
    """Measure, then write record, page and picture; again after every seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="store_true", help="only write page and picture from the record")
    page_alone = parser.parse_args().page
    torch.set_num_threads(1)
    record = RESULTS / "recall.json"
    report: dict[str, Any] = {"machine": describe(), "threads": 1, "seconds": SECONDS, "tested": TESTED, "runs": []}
    for seed in range(0 if page_alone else SEEDS):
        report["runs"] += measure(seed)
        record.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    report = json.loads(record.read_text(encoding="utf-8"))
    (RESULTS / "recall.md").write_text(render(report), encoding="utf-8")
    draw(report)
    print(render(report))


def runs_of(report: dict[str, Any], task: str) -> dict[str, list[dict[str, Any]]]:
    """The runs of a task by network."""
    own = [run for run in report["runs"] if run["task"] == task]
    return {name: [run for run in own if run["network"] == name] for name in dict.fromkeys(x["network"] for x in own)}


def accuracies(runs: list[dict[str, Any]], distance: int) -> list[float]:
    """One of each seed."""
    return [run["accuracy"][str(distance)] for run in runs]


def render(report: dict[str, Any]) -> str:
    """The report as a Markdown table for each task, mean and range over the seeds."""
    machine = report["machine"]
    seeds = len({run["seed"] for run in report["runs"]})
    lines = [
        "# Recall of a name",
        "",
        f"Made by `make bench-recall` on {machine['cpu']} ({machine['cores']} cores, "
        f"{machine['kernel']}), one thread. A name, one of {NAMES}, is told among words, and asked for after the "
        f"number of words above each column: the share of right answers, of {report['tested']} sequences"
        + (f", mean of {seeds} seeds and their range" if seeds > 1 else ", one seed")
        + f". All networks were trained for {report['seconds']:.0f} s of processor time each, with up to {TRAINED} "
        f"words in between; a guess is right in {1 / NAMES:.1%}. The transformer sees {CONTEXT} tokens, so that "
        "farther back it can only guess. The AstroSNN's memories "
        f"of {SHORTEST:,.0f} to {LONGEST:,.0f} ticks were chosen for the task, after a first run with shorter ones.",
    ]
    header = ["network", "weights", "tokens read", *(f"{distance:,}" for distance in DISTANCES)]
    for task in TASKS:
        rows = [
            [name, f"{runs[0]['weights']:,}", f"{round(statistics.mean(run['tokens'] for run in runs)):,}"]
            + [_cell(accuracies(runs, distance)) for distance in DISTANCES]
            for name, runs in runs_of(report, task).items()
        ]
        lines += ["", f"In between: {task}.", "", *markdown.table(header, rows)]
    return "\n".join([*lines, "", "![Share of right answers by distance](recall.svg)"]) + "\n"


def _cell(found: list[float]) -> str:
    """A mean as a percentage, with the range of the seeds where they differ."""
    low, high = (f"{value:.0%}" for value in (min(found), max(found)))
    mean = f"{statistics.mean(found):.0%}"
    return mean if low == high else f"{mean} ({low.removesuffix('%')}–{high})"


def draw(report: dict[str, Any]) -> None:
    """Accuracy by distance, a panel a task and a line a network."""
    picture, panels = pictures.grid(len(TASKS))
    for task, axes in zip(TASKS, panels, strict=True):
        for index, (name, runs) in enumerate(runs_of(report, task).items()):
            means = [statistics.mean(accuracies(runs, distance)) for distance in DISTANCES]
            axes.plot(DISTANCES, means, marker="o", label=name, color=pictures.COLOURS[2 * index])
        axes.axvline(TRAINED, linestyle=":", color="grey")
        axes.axhline(1 / NAMES, linestyle=":", color="grey")
        axes.set(title=task, xscale="log", xlabel="words between telling and asking", ylim=(0, 1.05))
        axes.set_xticks(DISTANCES, [f"{distance:,}" for distance in DISTANCES])
        axes.minorticks_off()
    panels[0].set(ylabel="right answers")
    panels[0].legend(frameon=False)
    pictures.save(picture, RESULTS / "recall.svg")


if __name__ == "__main__":
    main()
