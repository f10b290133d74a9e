"""How a program with a step in it collects times and sums them up: as Python does, in bounded memory."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from astroedge.errors import LinkError
from astroedge.step_profile import Timing
from astroedge.targets.link.linker import Linker, run_compiler
from tests.support.c_host import SOURCES

# Sums up the times on standard input; with an argument, collects the numbers below it and tells what was kept.
MAIN = r"""
#include <stdio.h>
#include <stdlib.h>
#include "timing.h"
int main(int count, char **words)
{
    samples all;
    astro_failure failure;
    unsigned long long time, most = count > 1 ? strtoull(words[1], NULL, 10) : 0;
    if (start_samples(&all, &failure))
        return 1;
    for (time = 0; time < most; time++)
        if (add_sample(&all, time, &failure))
            return 1;
    while (most == 0 && scanf("%llu", &time) == 1)
        if (add_sample(&all, time, &failure))
            return 1;
    for (unsigned long long index = 1; most && index < all.count; index++)
        if (all.times[index] - all.times[index - 1] != all.every)
            return 2;
    timing found = sum_up(all.times, all.count);
    printf("%llu %.17g %.17g %.17g %.17g %.17g %.17g %.17g %.17g\n", (unsigned long long)found.count, found.mean,
           found.std, found.min, found.p50, found.p90, found.p95, found.p99, found.max);
    free(all.times);
    return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, under the sanitisers."""
    folder, compiler = tmp_path_factory.mktemp("timing"), shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs gcc with sanitizers")
    (folder / "main.c").write_text(MAIN)
    sources = [str(SOURCES / "failure.c"), str(SOURCES / "executable" / "timing.c"), "main.c"]
    checks = ["-std=c11", "-O2", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    headers = [f"-I{SOURCES}", f"-I{SOURCES / 'executable'}"]
    try:
        run_compiler(Linker((compiler,), "gcc"), [*checks, *headers, *sources, "-o", "timing", "-lm"], folder)
    except LinkError:
        pytest.skip("needs gcc with sanitizers")
    return folder / "timing"


def summary(program: Path, *arguments: str, times: str = "") -> Timing:
    """What the program prints, read."""
    result = subprocess.run([program, *arguments], input=times, capture_output=True, text=True, check=True)
    count, *numbers = result.stdout.split()
    return Timing(int(count), *map(float, numbers))


@pytest.mark.parametrize("count", [1, 2, 9, 10, 100, 101, 5000])
def test_times_are_summed_up_as_in_python(program: Path, count: int) -> None:
    """Percentiles by nearest rank, extremes and counts are equal, mean and deviation but for rounding."""
    times = np.random.default_rng(count).integers(100, 10**7, count).tolist()
    found, expected = summary(program, times=" ".join(map(str, times))), Timing.of(times)
    for name in ("count", "min", "p50", "p90", "p95", "p99", "max"):
        assert getattr(found, name) == getattr(expected, name)
    assert (found.mean, found.std) == pytest.approx((expected.mean, expected.std), rel=1e-12)


def test_a_long_measurement_keeps_times_evenly_spread(program: Path) -> None:
    """Of ten million times every fourth is kept, from the first to nearly the last."""
    found = summary(program, "10000000")
    assert (found.count, found.min, found.max) == (2_500_000, 0, 9_999_996)
