"""Products for tests of their kernels: cases to try, and the kernels of spikes and fixed point run on NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from astroedge.targets.boards.target import resolve_target
from astroedge.targets.kernels.products.active_list import active_list, bounds_size
from astroedge.targets.kernels.products.dense_gemv import dense_gemv, pack_dense
from astroedge.targets.kernels.products.event_gemv import event_gemv, pack_event
from astroedge.targets.kernels.products.fixed_bytes import DIGITS, QUAD, fixed_bytes, quad_count
from astroedge.targets.kernels.products.fixed_gemv import fixed_gemv, fixed_tile, pack_fixed
from astroedge.targets.kernels.products.fixed_point import PLANES, block_count, fixed_point, pair_count
from astroedge.targets.precision.storage import Storage
from astroedge.targets.precision.weight_format import StoredMatrix
from astroedge.targets.precision.weight_format import store as quantise
from tests.support.kernels.harness import (
    NATIVE,
    OLDEST,
    RUNNABLE,
    WIDTHS,
    run,
)

ROWS = st.one_of(st.integers(1, 40), st.integers(60, 70), st.integers(250, 270), st.integers(500, 800))
"""Numbers of inputs: few, and around a group of int4, one block and several of the reduction order."""


Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def _of_any_size(rng: np.random.Generator, shape: tuple[int, int], least: int, most: int) -> np.ndarray:
    return np.ldexp(rng.uniform(-1, 1, shape), rng.integers(least, most + 1, shape)).astype(np.float32)


def _blocks_apart(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Every block of 256 of another size, the first all zeros."""
    exponents = rng.integers(-120, 100, -(-shape[1] // 256)).repeat(256)[: shape[1]]
    x = np.ldexp(rng.standard_normal(shape), exponents).astype(np.float32)
    x[:, :256] = 0
    return x


INPUTS: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.standard_normal(shape).astype(np.float32),
    "signed zeros and ones": lambda rng, shape: rng.choice(np.array([0, -0.0, 1, -1], np.float32), shape),
    "all zero": lambda rng, shape: np.full(shape, -0.0, np.float32),
    "denormal": lambda rng, shape: _of_any_size(rng, shape, -149, -126),
    "small": lambda rng, shape: _of_any_size(rng, shape, -149, -90),
    "of any size": lambda rng, shape: _of_any_size(rng, shape, -149, 100),
    "blocks apart": _blocks_apart,
}
"""Inputs of a product in fixed point, by what is special about them."""


@dataclass(frozen=True)
class Case:
    """A product to try: its shape, how much of the input is active, what it is, how weights are stored, a target.

    `kind` is "bool", "spikes", which are the numbers 0 and 1, or "graded", where what is active is any number.
    """

    rows: int
    columns: int
    batch: int
    rate: float
    kind: str
    storage: Storage
    target: dict[str, Any]
    seed: int

    @property
    def graded(self) -> bool:
        """Whether the inputs are other numbers than 0 and 1."""
        return self.kind == "graded"

    def draw(self) -> tuple[np.ndarray, StoredMatrix, np.ndarray]:
        """The input (batch, rows), the stored matrix (rows, columns) and a bias."""
        rng = np.random.default_rng(self.seed)
        stored = quantise(rng.standard_normal((self.rows, self.columns)).astype(np.float32), self.storage)
        bias = rng.standard_normal(self.columns).astype(np.float32)
        x = rng.random((self.batch, self.rows)) < self.rate
        if self.kind == "spikes":
            x = x.astype(np.float32)
        elif self.graded:
            x = x * rng.standard_normal((self.batch, self.rows)).astype(np.float32)
        return x, stored, bias


def prune(stored: StoredMatrix, density: float, seed: int = 0) -> StoredMatrix:
    """The stored matrix with all but a share of its weights at 0, some of these −0.0."""
    rng = np.random.default_rng(seed)
    kept = rng.random(stored.values.shape) < density
    zeros = np.where(rng.random(stored.values.shape) < 0.5, -0.0, 0.0)
    return replace(stored, values=np.where(kept, stored.values, zeros.astype(stored.values.dtype)))


def cases(**given: st.SearchStrategy[Any]) -> st.SearchStrategy[Case]:
    """Cases with these shapes, rates, kinds and storages, for every target that runs here."""
    return st.builds(Case, **given, target=st.sampled_from(RUNNABLE), seed=st.integers(0, 99))


def event_product(
    x: np.ndarray,
    stored: StoredMatrix,
    bias: np.ndarray | None = None,
    *,
    graded: bool,
    tile: int = 128,
    target: dict[str, Any] = RUNNABLE[0],
) -> np.ndarray:
    """x (batch, rows) by a stored matrix (rows, columns), through the active list."""
    batch, rows = x.shape
    columns = stored.values.shape[1]
    data, scales = pack_event(stored)
    func = event_gemv(
        rows, columns, bias=bias is not None, graded=graded, batch=batch, tile=tile, storage=stored.storage
    )
    operands = [data, *([] if scales is None else [scales]), *([] if bias is None else [bias])]
    inputs = [*([x.ravel()] if graded else []), *lists_of(x), *operands]
    return run(func, inputs, [np.zeros(batch * columns, np.float32)], target)[0].reshape(batch, columns)


def lists_of(x: np.ndarray) -> list[np.ndarray]:
    """The indices and bounds of x (batch, rows)."""
    batch, rows = x.shape
    outputs = [np.zeros(batch * rows, np.int32), np.zeros(batch * bounds_size(rows), np.int32), np.zeros(1, np.int64)]
    return run(active_list(rows, str(x.dtype), batch), [x.ravel()], outputs)[:2]


def planes_of(x: np.ndarray, target: dict[str, Any] = RUNNABLE[0]) -> list[np.ndarray]:
    """The planes and factors of x (batch, size)."""
    batch, size = x.shape
    outputs = [np.zeros(batch * PLANES * pair_count(size), np.int32), np.zeros(batch * block_count(size), np.float32)]
    return run(fixed_point(batch, size, str(x.dtype)), [x.ravel()], outputs, target)


def digits_of(x: np.ndarray, storage: Storage, target: dict[str, Any] = RUNNABLE[0]) -> list[np.ndarray]:
    """The digits, offsets and factors of x (batch, size)."""
    batch, size = x.shape
    outputs = [
        np.zeros(batch * DIGITS * QUAD * quad_count(size), np.int8),
        np.zeros(batch * storage.scale_rows(size) * DIGITS, np.int32),
        np.zeros(batch * block_count(size), np.float32),
    ]
    return run(fixed_bytes(batch, size, str(x.dtype), storage), [x.ravel()], outputs, target)


def dense_product(
    x: np.ndarray,
    stored: StoredMatrix,
    bias: np.ndarray | None = None,
    *,
    tile: int = 64,
    row_tile: int = 1,
    target: dict[str, object] = RUNNABLE[0],
) -> np.ndarray:
    """x (batch, rows) by a stored matrix (rows, columns)."""
    batch, rows = x.shape
    columns = stored.values.shape[1]
    func = dense_gemv(
        batch,
        rows,
        columns,
        bias=bias is not None,
        tile=tile,
        row_tile=row_tile,
        dtype=str(x.dtype),
        storage=stored.storage,
    )
    data, scales = pack_dense(stored, tile)
    inputs = [x.ravel(), data, *([] if scales is None else [scales]), *([] if bias is None else [bias])]
    return run(func, inputs, [np.zeros(batch * columns, np.float32)], target)[0].reshape(batch, columns)


BOARDS = {
    **{name: (harness, resolve_target(name)) for name, harness in {**WIDTHS, "native": NATIVE}.items()},
    "no pairs": (OLDEST, resolve_target("aarch64")),
}
"""Processors whose code runs here, and what to compile for; ARM's form, without pairs, is code for any."""


def fixed_product(
    x: np.ndarray, stored: StoredMatrix, *, tile: tuple[int, int] | None = None, board: str = "native"
) -> np.ndarray:
    """x (batch, rows) by a stored matrix (rows, columns)."""
    batch, rows = x.shape
    columns = stored.values.shape[1]
    harness, target = BOARDS[board]
    width, row_tile = tile or fixed_tile(batch, target)
    func = fixed_gemv(batch, rows, columns, target=target, tile=width, row_tile=row_tile, storage=stored.storage)
    inputs = [*planes_of(x, harness), *pack_fixed(stored, width)]
    return run(func, inputs, [np.zeros(batch * columns, np.float32)], harness)[0].reshape(batch, columns)
