"""The functions that are computed in float64 and rounded once, written a second time in NumPy.

Written from the mathematics of `astroedge.targets.exact.wide_math`, with NumPy's own rounding to integers, splitting of
numbers and scaling by powers of two in place of the bit patterns there.
"""

from __future__ import annotations

import numpy as np

PI_HALF, LN2, LOG2_E = np.pi / 2, np.log(2.0), np.log2(np.e)
SIN = (-0.16666666663853044, 0.008333331873837089, -0.00019840086263755443, 2.7249864655139585e-06)
COS = (-0.49999999969094655, 0.04166665063493084, -0.0013887588637815805, 2.4463721163611998e-05)
EXP2 = (
    1.0, 0.6931471805459335, 0.2402265069581299, 0.05550410941205933, 0.009618129159402558, 0.0013333450568000645,
    0.00015403455852453838, 1.5310079402249296e-05, 1.3255224878668817e-06,
)  # fmt: skip
LOG = (
    1.9999999999999472, 0.6666666667958581, 0.39999994889749985, 0.28572166372494656, 0.22174240003765905,
    0.19608245305704075,
)  # fmt: skip
ATAN = (
    0.9999999999999732, -0.3333333333080158, 0.19999999604639704, -0.14285690410969262, 0.11110384726094209,
    -0.09078387777920731, 0.07563671793605889, -0.058743839156979755, 0.030660553362531064,
)  # fmt: skip


def _horner(x: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    value = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value


def _log(x: np.ndarray) -> np.ndarray:
    mantissa, exponent = np.frexp(x)
    low = mantissa < np.sqrt(0.5)
    m = np.where(low, mantissa * 2, mantissa)
    s = (m - 1) / (m + 1)
    return s * _horner(s * s, LOG) + (exponent - low) * LN2


def _exp2(x: np.ndarray) -> np.ndarray:
    x = np.fmin(np.fmax(x, -1000), 1000)
    n = np.rint(x)
    return np.ldexp(_horner(x - n, EXP2), n.astype(np.int64))


def _arc(x: np.ndarray) -> np.ndarray:
    large, small = x > np.tan(3 * np.pi / 8), x <= np.tan(np.pi / 8)
    u = np.where(large, -1 / x, np.where(small, x, (x - 1) / (x + 1)))
    return np.where(large, PI_HALF, np.where(small, 0, PI_HALF / 2)) + u * _horner(u * u, ATAN)


def _turn(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    wide = np.where(np.abs(x) <= 2**20, x, np.nan).astype(np.float64)
    n = np.rint(wide * (2 / np.pi))
    r = wide - n * float.fromhex("0x1.921fb544p+0") - n * float.fromhex("0x1.0b4611a626331p-34")
    square = r * r
    return r + r * square * _horner(square, SIN), 1 + square * _horner(square, COS), np.fmod(np.fmod(n, 4) + 4, 4)


def sin(x: np.ndarray) -> np.ndarray:
    """The sine, of radians."""
    sine, cosine, quadrant = _turn(x)
    value = np.choose(np.nan_to_num(quadrant).astype(int), [sine, cosine, -sine, -cosine])
    return np.where(x == 0, x, value.astype(np.float32))


def cos(x: np.ndarray) -> np.ndarray:
    """The cosine, of radians."""
    sine, cosine, quadrant = _turn(x)
    return np.choose(np.nan_to_num(quadrant).astype(int), [cosine, -sine, -cosine, sine]).astype(np.float32)


def tan(x: np.ndarray) -> np.ndarray:
    """The tangent, of radians."""
    sine, cosine, quadrant = _turn(x)
    return np.where(x == 0, x, np.where(quadrant % 2 == 0, sine / cosine, -cosine / sine).astype(np.float32))


def asin(x: np.ndarray) -> np.ndarray:
    """The arc sine, in radians."""
    size = np.abs(x.astype(np.float64))
    return np.copysign(_arc(size / np.sqrt((1 - size) * (1 + size))).astype(np.float32), x)


def acos(x: np.ndarray) -> np.ndarray:
    """The arc cosine, in radians."""
    wide = x.astype(np.float64)
    return (_arc(np.sqrt((1 - wide) / (1 + wide))) * 2).astype(np.float32)


def atan(x: np.ndarray) -> np.ndarray:
    """The arc tangent, in radians."""
    return np.copysign(_arc(np.abs(x.astype(np.float64))).astype(np.float32), x)


def _odd(x: np.ndarray, value: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) >= 2.0**-12, np.copysign(value.astype(np.float32), x), x)


def sinh(x: np.ndarray) -> np.ndarray:
    """The hyperbolic sine."""
    power = _exp2(np.abs(x.astype(np.float64)) * LOG2_E)
    return _odd(x, (power - 1 / power) * 0.5)


def cosh(x: np.ndarray) -> np.ndarray:
    """The hyperbolic cosine."""
    power = _exp2(np.abs(x.astype(np.float64)) * LOG2_E)
    return np.where(np.isnan(x), x, ((power + 1 / power) * 0.5).astype(np.float32))


def asinh(x: np.ndarray) -> np.ndarray:
    """The area hyperbolic sine."""
    size = np.abs(x.astype(np.float64))
    return _odd(x, np.where(np.isinf(size), size, _log(size + np.sqrt(size * size + 1))))


def acosh(x: np.ndarray) -> np.ndarray:
    """The area hyperbolic cosine."""
    wide = x.astype(np.float64)
    value = _log(wide + np.sqrt(wide * wide - 1)).astype(np.float32)
    return np.where(x == np.inf, x, np.where(x >= 1, value, np.float32(np.nan)))


def atanh(x: np.ndarray) -> np.ndarray:
    """The area hyperbolic tangent."""
    size = np.abs(x.astype(np.float64))
    value = np.where(size == 1, np.inf, _log((1 + size) / (1 - size)) * 0.5)
    return np.where(size <= 1, _odd(x, value), np.float32(np.nan))
