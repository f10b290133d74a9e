"""The exact functions written a second time, in NumPy float32, one rounding an operation.

Written from the mathematics of `astroedge.targets.exact.exact_math`, with NumPy's own rounding to integers, scaling
by powers of two and splitting of numbers in place of the bit patterns there.
"""

from __future__ import annotations

import numpy as np

F = np.float32
LN2_HIGH, LN2_LOW = F(float.fromhex("0x1.62e4p-1")), F(float.fromhex("0x1.7f7d1cp-20"))
EXP = [0.5, 0.16666576, 0.041666556, 0.008363179, 0.0013926184]
EXPM1 = [0.5, 0.16666667, 0.041666467, 0.0083333105, 0.001393365, 0.00019890991]
LOG = [0.3333333, -0.24999997, 0.20000716, -0.16667803, 0.14249058, -0.12425687, 0.1168542, -0.11479734, 0.06971612]
ERF_SMALL = [0.12837917, -0.37612635, 0.11283718, -0.026860666, 0.005204227, -0.0008179632, 8.5294014e-05]
ERF_LARGE = [
    0.00016782004, -1.1294819, -0.6334138, -0.10820648, 0.025071844, -0.0041530095, 0.00043074173, -2.0773794e-05,
]  # fmt: skip
SIN = [float.fromhex(text) for text in (
    "-0x1.555555545dd83p-3", "0x1.11110deeb33b2p-7", "-0x1.a013a6edc8f34p-13", "0x1.6dbdd26f56d2dp-19",
)]  # fmt: skip
COS = [float.fromhex(text) for text in (
    "-0x1.fffffffab0c4cp-2", "0x1.55554cb9f2c65p-5", "-0x1.6c0e079b9e8ccp-10", "0x1.9a6ee1e0c89e9p-16",
)]  # fmt: skip


def _horner(x: np.ndarray, coefficients: list[float]) -> np.ndarray:
    value = np.full_like(x, F(coefficients[-1]))
    for coefficient in coefficients[-2::-1]:
        value = value * x + F(coefficient)
    return value


def _reduce(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n = np.rint(x * F(1.44269504))
    return n.astype(np.int32), x - n * LN2_HIGH - n * LN2_LOW


def exp(x: np.ndarray) -> np.ndarray:
    """eˣ."""
    n, r = _reduce(np.fmin(np.fmax(x, F(-104)), F(89)))
    value = np.ldexp(F(1) + (r + r * r * _horner(r, EXP)), n)
    return np.where(np.isnan(x), x, value)


def expm1(x: np.ndarray) -> np.ndarray:
    """eˣ − 1."""
    n, r = _reduce(np.fmin(np.fmax(x, F(-20)), F(89)))
    half = np.ldexp(F(1), n - 1)
    value = (half * (r + r * r * _horner(r, EXPM1)) + (half - F(0.5))) * F(2)
    return np.where(np.isnan(x) | (x == 0), x, value)


def log(x: np.ndarray) -> np.ndarray:
    """The natural logarithm."""
    mantissa, exponent = np.frexp(x)
    low = mantissa < F(float.fromhex("0x1.6a09e6p-1"))
    f = np.where(low, mantissa * F(2), mantissa) - F(1)
    n = (exponent - low).astype(F)
    square = f * f
    value = (f + (f * square * _horner(f, LOG) + n * LN2_LOW - square * F(0.5))) + n * LN2_HIGH
    value = np.where(x == np.inf, x, value)
    return np.where(x > 0, value, np.where(x == 0, F(-np.inf), F(np.nan)))


def log1p(x: np.ndarray) -> np.ndarray:
    """log(1 + x)."""
    total = F(1) + x
    value = log(total) * (x / (total - F(1)))
    return np.where((total == 1) | (x == np.inf), x, value)


def tanh(x: np.ndarray) -> np.ndarray:
    """The hyperbolic tangent."""
    t = expm1(np.abs(x) * F(-2))
    return np.copysign((F(0) - t) / (t + F(2)), x)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + e⁻ˣ)."""
    z = exp(-np.abs(x))
    return np.where(x >= 0, F(1), z) / (F(1) + z)


def _circular(x: np.ndarray, quarters: int) -> np.ndarray:
    wide = x.astype(np.float64)
    n = np.rint(wide * float.fromhex("0x1.45f306dc9c883p-1"))
    r = wide - n * float.fromhex("0x1.921fb544p+0") - n * float.fromhex("0x1.0b4611a626331p-34")
    square = r * r
    parts = []
    for start, first, polynomial in ((r, r * square, SIN), (1.0, square, COS)):
        value = np.full_like(wide, polynomial[-1])
        for coefficient in polynomial[-2::-1]:
            value = value * square + coefficient
        parts.append(start + first * value)
    quadrant = (np.fmod(n, 4).astype(np.int64) + quarters) % 4
    size = np.where(quadrant % 2 == 0, *parts)
    value = np.where(quadrant < 2, size, 0.0 - size).astype(np.float32)
    return np.where(np.abs(x) <= 2**20, value, F(np.nan))


def sin(x: np.ndarray) -> np.ndarray:
    """The sine, of radians."""
    return np.where(x == 0, x, _circular(x, 0))


def cos(x: np.ndarray) -> np.ndarray:
    """The cosine, of radians."""
    return _circular(x, 1)


def erf(x: np.ndarray) -> np.ndarray:
    """The error function."""
    size = np.fmin(np.abs(x), F(4))
    far = np.copysign(F(1) - exp(_horner(size, ERF_LARGE)), x)
    value = np.where(np.abs(x) < F(0.890625), x + x * _horner(size * size, ERF_SMALL), far)
    return np.where(np.isnan(x), x, value)


def sqrt(x: np.ndarray) -> np.ndarray:
    """√x."""
    return np.sqrt(x)


def rsqrt(x: np.ndarray) -> np.ndarray:
    """1 / √x."""
    return F(1) / np.sqrt(x)
