"""Train networks of the zoo, measure them as bundles and write their records: `python examples/zoo/train_zoo.py NAME…`.

Each is trained with five seeds on one thread, judged on held-out data by its compiled step, and the one of median
result is kept: its checkpoint and record in `astroedge_zoo/`, where `astroedge zoo` and `export zoo:NAME` find them.
Nothing is downloaded: data is in the wheels of aeon and scikit-learn and in Python itself.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

# The texts and n-grams of the byte-level language model next door.
sys.path.append(str(Path(__file__).parents[1] / "char_lm"))

from frame import record
from frame.fit import export_step, run_seeds
from frame.measure import at_every_precision, cost_of_a_tick
from frame.recipe import Recipe, Series
from recipes import RECIPES
from torch import nn

from astroedge.errors import AstroEdgeError
from astroedge.models.trained import load_trained

SEEDS = 5


def main() -> None:
    """Train what is asked for, then bring the README's tables up to date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RECIPES)}; none: only the tables")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many, from 0 on (default: %(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    parser.add_argument("--measure", action="store_true", help="measure what is stored anew, without training")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in RECIPES]
    if unknown:
        parser.error(f"there is no recipe {unknown[0]}; there are {', '.join(RECIPES)}")
    if arguments.seeds < 1:
        parser.error("--seeds is at least 1")
    try:
        for name in arguments.names:
            if arguments.measure:
                measure_again(RECIPES[name], arguments.dry_run)
            else:
                train(RECIPES[name], arguments.seeds, arguments.dry_run)
    except ModuleNotFoundError as error:
        parser.exit(1, f"{error.name} is not installed; in a clone, pip install -e '.[zoo-training]'\n")
    except (AstroEdgeError, OSError) as error:
        parser.exit(1, f"{error}\n")
    if not arguments.dry_run:
        record.put_table(record.read_all())


def train(recipe: Recipe, seeds: int, dry_run: bool) -> None:
    """One network: its runs, its measurements, what others reach, its files."""
    training, held_out = recipe.task.load()
    runs = run_seeds(recipe, seeds, training, held_out)
    measured = measure(recipe, runs.model, held_out)
    measured["baselines"] = recipe.task.baselines(training, held_out, measured["step"]["weights"])
    spread = f"{runs.mean:.4g} ± {runs.spread:.2g} over {seeds} seeds"
    print(f"{recipe.name}: {recipe.task.metric} {spread}, {runs.seconds:.0f} s of training each")
    for name, result in measured["baselines"].items():
        print(f"  {name}: {result:.4g}")
    if not dry_run:
        record.write(recipe, runs, held_out, measured)


def measure_again(recipe: Recipe, dry_run: bool) -> None:
    """The stored network as bundles of today, on this machine."""
    _, held_out = recipe.task.load()
    measured = measure(recipe, load_trained(recipe.name, record.PACKAGE).model, held_out)
    if not dry_run:
        record.renew(recipe.name, measured)


def measure(recipe: Recipe, model: nn.Module, held_out: Series) -> dict[str, Any]:
    """What a network is as bundles: results and bytes at every precision, and the cost of a tick."""
    graph = export_step(recipe, model, held_out)
    found = at_every_precision(graph, recipe, held_out)
    for name, figures in found.items():
        print(f"{recipe.name}, {name}: {recipe.task.metric} {figures['result']:.4g}, {figures['bytes']:,} bytes")
    step = cost_of_a_tick(graph, model, held_out)
    print(f"{recipe.name}: {step['microseconds']:.3g} µs a tick")
    return {"step": step, "precisions": found}


if __name__ == "__main__":
    main()
