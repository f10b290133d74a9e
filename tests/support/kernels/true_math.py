"""What the exact functions should give: float64 functions, and the numbers on which float32 ones go wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from astroedge.step.operator_facts import FUNCTION_ERRORS

Wide = NDArray[np.float64]
Samples = NDArray[np.float32]


def _erf(x: Wide) -> Wide:
    result: Wide = torch.special.erf(torch.from_numpy(x)).numpy()
    return result


def _sigmoid(x: Wide) -> Wide:
    small = np.exp(-np.abs(x))
    result: Wide = np.where(x < 0, small, 1) / (1 + small)
    return result


def _inside(x: Wide) -> Wide:
    """Sine and cosine are NaN beyond 2²⁰."""
    return np.where(np.abs(x) <= 2**20, x, np.nan)


TRUE: dict[str, Callable[[Wide], Wide]] = {
    **{"exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "tanh": np.tanh, "sigmoid": _sigmoid},
    **{"sin": lambda x: np.sin(_inside(x)), "cos": lambda x: np.cos(_inside(x)), "erf": _erf, "sqrt": np.sqrt},
    "rsqrt": lambda x: 1 / np.sqrt(x),
    **{"tan": lambda x: np.tan(_inside(x)), "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan},
    **{"sinh": np.sinh, "cosh": np.cosh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh},
}
# The largest error in units of the last place that is promised, and the true function.
FUNCTIONS = {name: (FUNCTION_ERRORS[name], function) for name, function in TRUE.items()}

# Where a function switches from one formula to another, overflows, leaves the normal numbers or has a whole period.
_SWITCHES = (
    *(0.0, 1.0, 2.0**-126, 2.0**-149, 3.4028235e38, np.inf),
    *(88.72283, 88.02969, 87.33655, 103.27893, 103.97208, 104.0, 89.0, 20.0, 16.635532, 9.010913),
    *(0.41421357, 2.4142137, 2.0**-12, 0.5, 89.41599, 89.5),
    *(0.890625, 4.0, 3.8325067, float(2**20), float(2**22), float(2**24), 0.70710677, 1.4142135),
    *((number + 0.5) * np.log(2.0) for number in range(0, 128, 3)),
    *(number * np.pi / 4 for number in (1, 2, 3, 4, 5, 6, 7, 8, 22, 355, 710, 333_333, 1_335_000)),
)


def samples(mantissas: int = 1024) -> Samples:
    """Numbers to test a function of one float32 on.

    Of each of the 512 signs and exponents `mantissas` numbers, spread evenly with the first and the last among them;
    as many of everyday size and around 1; and the neighbours of every switch of a formula, infinities and a NaN.
    """
    rng = np.random.default_rng(7)
    spread = np.linspace(0, 2**23 - 1, mantissas).astype(np.uint32)
    spread[1:-1] ^= rng.integers(0, 2**23 // mantissas // 2, mantissas - 2, dtype=np.uint32)
    everywhere = (np.arange(512, dtype=np.uint32)[:, None] << 23 | spread).ravel().view(np.float32)
    usual = rng.standard_normal(256 * mantissas) * np.exp(rng.uniform(-3, 4.6, 256 * mantissas))
    near_one = 1 + rng.standard_normal(256 * mantissas) * 0.4
    bits = np.array(_SWITCHES, np.float32).view(np.int32)[:, None] + np.arange(-4, 5, dtype=np.int32)
    switches = np.abs(bits).ravel().view(np.float32)
    return np.concatenate(
        [everywhere, usual, near_one, switches, -switches, [np.nan]], dtype=np.float32, casting="same_kind"
    )


def errors(name: str, x: Samples, result: Samples) -> Wide:
    """How far each result is from the true value, in units of the last place of the nearest float32.

    0 where the result is the nearest float32 (an infinity, a NaN); infinite where one of the two is not a number and
    the other is.
    """
    with np.errstate(all="ignore"):
        true = FUNCTIONS[name][1](x.astype(np.float64))
        nearest = true.astype(np.float32)
        distance = np.zeros(len(x))
        (other,) = np.nonzero((result != nearest) & ~(np.isnan(result) & np.isnan(nearest)))
        error = np.abs(result[other] - true[other]) / np.spacing(np.abs(nearest[other])).astype(np.float64)
    distance[other] = np.where(np.isnan(error), np.inf, error)
    return distance
