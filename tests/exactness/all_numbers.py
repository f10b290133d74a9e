"""Every float32 number through every exact function: the largest error, and equal bits whatever the vector width.

    make exactness        or        python -m tests.exactness.all_numbers [FUNCTION …]

takes about a minute a function on one core and prints a row of the table in benchmarks/results/exactness.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import tvm

from astroedge.targets.exact import exact_math
from tests.support.kernels.harness import WIDTHS, build, same_bits, unary
from tests.support.kernels.true_math import FUNCTIONS, errors

CHUNK = 1 << 15  # arrays that stay in the second-level cache
Evaluate = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    """Check the functions asked for, all of them by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("functions", nargs="*", metavar="FUNCTION", help=f"of {', '.join(FUNCTIONS)}; default: all")
    chosen = parser.parse_args().functions or list(FUNCTIONS)
    print(f"| function | promised | largest error, ulp | at | results that are not the nearest | {', '.join(WIDTHS)} |")
    print("|---|---|---|---|---|---|")
    broken = []
    for name in chosen:
        row, holds = check(name)
        print(row, flush=True)
        broken += [] if holds else [name]
    if broken:
        raise SystemExit(f"broken: {', '.join(broken)}")


def check(name: str) -> tuple[str, bool]:
    """One row, and whether the bound holds and all vector widths have equal bits.

    The row says the largest error over all 2³² bit patterns, where it is, and how many results are not the nearest
    float32; where all are, the error is half a unit.
    """
    evaluate = [evaluator(name, width) for width in WIDTHS]
    bound, largest, place, inexact, different = FUNCTIONS[name][0], 0.0, np.float32(0), 0, 0
    for start in range(0, 1 << 32, CHUNK):
        x = np.arange(start, start + CHUNK, dtype=np.uint32).view(np.float32)
        result, *others = [function(x) for function in evaluate]
        for other in others:
            same = np.array_equal(result.view(np.uint32), other.view(np.uint32)) or same_bits(result, other)
            different += not same
        distance = errors(name, x, result)
        inexact += int(np.count_nonzero(distance))
        worst = int(distance.argmax())
        if distance[worst] > largest:
            largest, place = float(distance[worst]), x[worst]
    equal = "equal" if not different else "DIFFERENT"
    error = f"{largest:.4f} | {place:.9g}" if inexact else "0.5 | –"
    row = f"| {name} | {bound} | {error} | {inexact / 2**32:.3%} | {equal} |"
    return row, largest <= bound and not different


def evaluator(name: str, width: str) -> Evaluate:
    """The function on `CHUNK` numbers, compiled for a vector width."""
    kernel = build(unary(getattr(exact_math, name), CHUNK), WIDTHS[width])["kernel"]
    given, result = (tvm.runtime.tensor(np.zeros(CHUNK, np.float32)) for _ in range(2))
    arguments, values = np.from_dlpack(given), np.from_dlpack(result)

    def evaluate(x: np.ndarray) -> np.ndarray:
        arguments[:] = x
        kernel(given, result)
        return values

    return evaluate


if __name__ == "__main__":
    main()
