"""Functions that the equations of several reference models are written with, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def logistic(x: Array) -> Array:
    """σ."""
    return 1 / (1 + np.exp(-x))


def norm(x: Array, weight: Array | float = 1.0, bias: Array | float = 0.0) -> Array:
    """Layer norm over the last axis."""
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * weight + bias
