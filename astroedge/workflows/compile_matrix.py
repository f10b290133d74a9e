"""One graph compiled for several targets at several precisions, a few at a time, each by a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from astroedge.bundle.container import Bundle
from astroedge.errors import InputError

SUFFIX = ".astro"


@dataclass(frozen=True)
class Variant:
    """One bundle of several that a graph becomes."""

    target: str
    precision: str
    output: Path


@dataclass(frozen=True)
class Outcome:
    """What compiling a variant came to: the bundle that was written, or the exit code and one line of an error."""

    variant: Variant
    seconds: float
    bundle: Bundle | None
    code: int = 0
    error: str = ""


def default_output(graph: Path) -> Path:
    """Where a graph's bundle goes when nobody says: beside it."""
    return graph.with_suffix(SUFFIX)


def make_variants(graph: Path, targets: Sequence[str], precisions: Sequence[str], folder: Path) -> list[Variant]:
    """Every target at every precision, as files `GRAPH.TARGET.PRECISION.astro` in a folder.

    What there is one of is in no name. Raises InputError where two would be one file, TargetError and CompileError for
    a target and a precision that are none.
    """
    from astroedge.targets.boards.target import resolve_target
    from astroedge.targets.precision.rules import read_precision

    for target in targets:
        resolve_target(target)
    for precision in precisions:
        read_precision(precision)
    variants = []
    for target in targets:
        for precision in precisions:
            parts = [graph.stem]
            parts += [Path(target).stem.replace(":", "-").replace(",", "-")] if len(targets) > 1 else []
            parts += [precision] if len(precisions) > 1 else []
            variants.append(Variant(target, precision, folder / (".".join(parts) + SUFFIX)))
    names = [variant.output.name for variant in variants]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"Two of these bundles would both be {twice!r}; name each target and precision once.")
    return variants


def compile_matrix(
    graph: Path, variants: Iterable[Variant], options: Sequence[str], jobs: int, done: Callable[[Outcome], None]
) -> list[Outcome]:
    """Compile every variant of a graph, `jobs` at a time, and return what became of each, in their order.

    `options` are further ones of `astroedge compile`, for all. Each compilation is a command line of its own, so that
    they share no memory and one that ends leaves nothing behind; `done` is called after each. A failure of one keeps
    none of the others from being written.
    """

    def build(variant: Variant) -> Outcome:
        outcome = _compile(graph, variant, options)
        done(outcome)
        return outcome

    with ThreadPoolExecutor(jobs) as pool:
        return list(_results(pool, build, variants))


def _results(
    pool: ThreadPoolExecutor, build: Callable[[Variant], Outcome], variants: Iterable[Variant]
) -> Iterator[Outcome]:
    """What became of each; after Ctrl-C nothing more is started."""
    try:
        yield from pool.map(build, variants)
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _compile(graph: Path, variant: Variant, options: Sequence[str]) -> Outcome:
    # -P: nothing is imported from the working directory.
    command = [sys.executable, "-P", "-m", "astroedge", "compile", str(graph.absolute())]
    command += ["--target", variant.target, "--precision", variant.precision, "--output", str(variant.output)]
    begin = time.monotonic()
    result = subprocess.run(
        [*command, *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    seconds = time.monotonic() - begin
    if result.returncode != 0:
        lines = result.stderr.strip().splitlines() or [f"it ended with exit code {result.returncode}"]
        return Outcome(variant, seconds, None, result.returncode, lines[-1].removeprefix("Error: "))
    return Outcome(variant, seconds, Bundle.load(variant.output))
