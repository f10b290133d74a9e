"""Runs over seeds: each trains the network anew, and the one of median result is kept."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from rich import progress as bars
from torch import nn

import astroedge
from astroedge.models.build_model import build_model
from astroedge.step.graph import StepGraph
from frame.recipe import Progress, Recipe, Series
from frame.score import score

EXAMPLE_TICKS = 200


@dataclass(frozen=True)
class Runs:
    """The results of all seeds on held-out data, the seed of the median, its model, and seconds of a training."""

    results: list[float]
    kept: int
    model: nn.Module
    seconds: float

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return statistics.mean(self.results)

    @property
    def spread(self) -> float:
        """The standard deviation over the seeds, of a sample; 0 for one."""
        return statistics.stdev(self.results) if len(self.results) > 1 else 0.0


def run_seeds(recipe: Recipe, seeds: int, training: Series, held_out: Series) -> Runs:
    """Train with the seeds from 0 on, each judged by its compiled step with its weights as they are stored."""
    torch.set_num_threads(1)  # the operations are small: more threads gain little, and lose much on a busy machine
    models: list[nn.Module] = []
    results: list[float] = []
    began = time.process_time()
    for seed in range(seeds):
        torch.manual_seed(seed)
        model = build_model(recipe.model, recipe.arguments)
        with _bar(f"{recipe.name}, seed {seed}") as tell:
            recipe.train(model, training, seed, tell)
        models.append(as_stored(model))
        results.append(score(astroedge.compile(export_step(recipe, models[-1], held_out)), held_out, recipe.task))
        print(f"{recipe.name}, seed {seed}: {recipe.task.metric} {results[-1]:.4g}", flush=True)
    kept = results.index(statistics.median_low(results))
    return Runs(results, kept, models[kept], (time.process_time() - began) / seeds)


def as_stored(model: nn.Module) -> nn.Module:
    """`model` in evaluation mode with its floating-point weights rounded to float16, as the checkpoint stores them."""
    return model.half().float().eval().requires_grad_(False)


def example_ticks(series: Series) -> torch.Tensor:
    """The first ticks of real sequences, one after the other, without an axis of streams."""
    joined = torch.cat(series.inputs[: EXAMPLE_TICKS // 4])
    return joined[:EXAMPLE_TICKS].contiguous()


def export_step(recipe: Recipe, model: nn.Module, series: Series) -> StepGraph:
    """One tick of `model` as a step graph, its firing rates measured on real ticks of `series`."""
    ticks = [(tick[None],) for tick in example_ticks(series)]
    return astroedge.export(model, ticks[0], tuple(model.initial_state(1)), examples=ticks, name=recipe.name)  # type: ignore[operator]


@contextmanager
def _bar(title: str) -> Iterator[Progress]:
    """A progress bar; what it yields takes the share that is done."""
    columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), bars.TaskProgressColumn())
    with bars.Progress(*columns, bars.TimeElapsedColumn(), bars.TimeRemainingColumn()) as progress:
        task = progress.add_task(title, total=1.0)
        yield lambda share: progress.update(task, completed=share)
