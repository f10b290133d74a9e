"""Train networks of the zoo, measure them as bundles and write their records: `python examples/zoo/train_zoo.py NAME…`.

Each is trained with five seeds on one thread, judged on held-out data by its compiled step, and the one of median
result is kept: its checkpoint and record in `astroedge_zoo/`, where `astroedge zoo` and `export zoo:NAME` find them.
Nothing is downloaded: data is in the wheels of aeon and scikit-learn and in Python itself.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# The texts and n-grams of the byte-level language model next door.
sys.path.append(str(Path(__file__).parents[1] / "char_lm"))

from frame import record
from frame.fit import export_step, run_seeds
from frame.measure import at_every_precision, cost_of_a_tick
from frame.recipe import Recipe
from recipes import RECIPES

SEEDS = 5


def main() -> None:
    """Train what is asked for, then bring the README's tables up to date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RECIPES)}; none: only the tables")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many, from 0 on (default: %(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in RECIPES]
    if unknown:
        parser.error(f"there is no recipe {unknown[0]}; there are {', '.join(RECIPES)}")
    if arguments.seeds < 1:
        parser.error("--seeds is at least 1")
    for name in arguments.names:
        train(RECIPES[name], arguments.seeds, arguments.dry_run)
    if not arguments.dry_run:
        record.put_table(record.read_all())


def train(recipe: Recipe, seeds: int, dry_run: bool) -> None:
    """One network: its runs, its measurements, what others reach, its files."""
    training, held_out = recipe.task.load()
    runs = run_seeds(recipe, seeds, training, held_out)
    graph = export_step(recipe, runs.model, held_out)
    step = cost_of_a_tick(graph, runs.model, held_out)
    measured = {
        "step": step,
        "precisions": at_every_precision(graph, recipe, held_out),
        "baselines": recipe.task.baselines(training, held_out, step["weights"]),
    }
    spread = f"{runs.mean:.4g} ± {runs.spread:.2g} over {seeds} seeds"
    print(f"{recipe.name}: {recipe.task.metric} {spread}, {runs.seconds:.0f} s of training each")
    for name, found in measured["precisions"].items():
        print(f"  {name}: {found['result']:.4g}, {found['bytes']:,} bytes")
    for name, result in measured["baselines"].items():
        print(f"  {name}: {result:.4g}")
    if not dry_run:
        record.write(recipe, runs, held_out, measured)


if __name__ == "__main__":
    main()
