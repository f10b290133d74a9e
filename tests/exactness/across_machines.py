"""Networks running free on every machine there is: the same bits after 10,000 ticks.

    make exactness        or        python -m tests.exactness.across_machines [NETWORK …]

prints a row of the table in benchmarks/results/exactness.md for each network and precision. Inputs are drawn from the
documented generator; weights are drawn or trained, not on a grid, and every spike tensor fires at 1 to 60 %.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory

from astroedge.bundle.container import Bundle
from astroedge.runtimes import load
from astroedge.runtimes.checking.golden import trace
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.precision.storage import STORAGES
from tests.support.machines import Machine, available, run_hashes
from tests.support.networks import HIGHEST_RATE, LOWEST_RATE, NETWORKS, bundle_of

TICKS = 10_000


@dataclass(frozen=True)
class Outcome:
    """A network's hashes by machine, "tick state outputs" a line, and the lowest and highest rate of a spike tensor."""

    hashes: dict[str, list[str]]
    rates: tuple[float, float] | None

    @property
    def agrees(self) -> bool:
        """Whether all machines have equal hashes at every tick that is compared."""
        return len({tuple(lines) for lines in self.hashes.values()}) == 1


def main() -> None:
    """Compare the networks asked for, all by default, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(NETWORKS)}; default: all")
    chosen = parser.parse_args().networks or list(NETWORKS)
    machines = available()
    print(f"{TICKS:,} ticks on {', '.join(_title(machine) for machine in machines)}\n")
    print("| network | precision | firing rates | state after the last tick | bits |")
    print("|---|---|---|---|---|")
    differ = False
    for name in chosen:
        for precision, outcome in compare(name, machines, TICKS).items():
            differ |= not outcome.agrees
            print(_row(name, precision, outcome), flush=True)
    if differ:
        raise SystemExit("machines differ")


def compare(name: str, machines: list[Machine], ticks: int) -> dict[str, Outcome]:
    """Run a network on every machine with the C host, and here with Python, which measures its firing rates.

    Returns an outcome for each precision; all of them run at the same time, as far as there are processors.
    """
    cases = [(precision, machine) for precision in STORAGES for machine in machines]
    bundles = [bundle_of(name, machine.target, precision=precision) for precision, machine in cases]
    with TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        places = [Path(folder) / f"{machine.target}-{precision}" for precision, machine in cases]
        runs = pool.map(run_hashes, bundles, [machine for _, machine in cases], repeat(ticks), places)
        lines = dict(zip(cases, runs, strict=True))
    here = [machine for machine in machines if not (machine.emulated or machine.gpu)][-1]
    outcomes = {}
    for precision in STORAGES:
        hashes = {_title(machine): lines[precision, machine] for machine in machines}
        bundle = bundle_of(name, here.target, precision=precision)
        hashes[f"{here.target} by Python"], rates = run_here(bundle, ticks)
        outcomes[precision] = Outcome(hashes, rates)
    return outcomes


def run_here(bundle: Bundle, ticks: int) -> tuple[list[str], tuple[float, float] | None]:
    """The same run by the Python runtime: its hashes and the lowest and highest firing rate."""
    with load(bundle) as session:
        found = trace(session, bundle.manifest.golden.seed, _stops(ticks))
        lines = [f"{item.tick} {item.state} {item.outputs}" for item in found]
        rates = [count.firing_rate for count in session.activity().values()]
    return lines, (min(rates), max(rates)) if rates else None


def _stops(ticks: int) -> list[int]:
    """The ticks at which the C host prints hashes."""
    powers: Iterator[int] = (10**power for power in range(20))
    return sorted({*(tick for tick in powers if tick <= ticks), ticks})


def _title(machine: Machine) -> str:
    if machine.emulated:
        return f"{machine.target} ({machine.emulated}, emulated)"
    target = resolve_target(machine.target)
    return f"native ({' '.join((target.cpu, *target.attributes))})" if target.name == "native" else target.name


def _row(name: str, precision: str, outcome: Outcome) -> str:
    rates = "none fire" if outcome.rates is None else " to ".join(f"{rate:.1%}" for rate in outcome.rates)
    last = next(iter(outcome.hashes.values()))[-1].split()[1]
    bits = "equal" if outcome.agrees else "DIFFERENT"
    if outcome.rates and not (outcome.rates[0] >= LOWEST_RATE and outcome.rates[1] <= HIGHEST_RATE):
        rates += " (out of range)"
    return f"| {name} | {precision} | {rates} | `{last[:16]}` | {bits} |"


if __name__ == "__main__":
    main()
