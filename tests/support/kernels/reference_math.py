"""The exact functions written a second time, in NumPy float32, one rounding an operation.

Written from the mathematics of `astroedge.targets.exact.exact_math`, with NumPy's own rounding to integers, scaling
by powers of two and splitting of numbers in place of the bit patterns there.
"""

from __future__ import annotations

import numpy as np

from tests.support.kernels import reference_wide

acos, acosh, asin, asinh = reference_wide.acos, reference_wide.acosh, reference_wide.asin, reference_wide.asinh
atan, atanh, cos, cosh = reference_wide.atan, reference_wide.atanh, reference_wide.cos, reference_wide.cosh
sin, sinh, tan = reference_wide.sin, reference_wide.sinh, reference_wide.tan

F = np.float32
LN2_HIGH, LN2_LOW = F(float.fromhex("0x1.62e4p-1")), F(float.fromhex("0x1.7f7d1cp-20"))
EXP = [0.5, 0.16666576, 0.041666556, 0.008363179, 0.0013926184]
EXPM1 = [0.5, 0.16666667, 0.041666467, 0.0083333105, 0.001393365, 0.00019890991]
LOG = [0.3333333, -0.24999997, 0.20000716, -0.16667803, 0.14249058, -0.12425687, 0.1168542, -0.11479734, 0.06971612]
ERF_SMALL = [0.12837917, -0.37612635, 0.11283718, -0.026860666, 0.005204227, -0.0008179632, 8.5294014e-05]
ERF_LARGE = [
    0.00016782004, -1.1294819, -0.6334138, -0.10820648, 0.025071844, -0.0041530095, 0.00043074173, -2.0773794e-05,
]  # fmt: skip


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
