"""What a matrix product costs either way, in cycles of one core: good enough to choose between its kernels.

The slower of two things is counted: moving the weights that are read from where they lie, and working on them in
vectors. Fitted on an AVX-512 processor (benchmarks/results/kernels.md, which also says how often the choice is right).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf

from astroedge.targets.boards.board_file import Target
from astroedge.targets.compiler.lower.legalize import Product
from astroedge.targets.compiler.select.byte_dots import byte_dots
from astroedge.targets.kernels.products.dense_gemv import dense_tile
from astroedge.targets.kernels.products.event_gemv import event_tile
from astroedge.targets.kernels.products.pruned_lists import TILE, PrunedSize
from astroedge.targets.kernels.products.pruned_steps import lanes_of
from astroedge.targets.precision.storage import Storage

LIST = 0.4  # for every input element: finding the active ones
CALL = 20.0  # to make another call and to begin with another list
STRETCH = 25.0  # to begin with another stretch of a list: a branch that is hard to predict
ADD_CHAIN = 4.0  # between two additions to one register
LIST_OF_WEIGHTS = 12.0  # to begin with the list of another input's weights
LANE_STEP = 0.28  # for every lane: to permute the inputs of a vector and to add their products
SHARED = 2.0  # how many streams must read a row of weights for it to pay that the second cache keeps it for them
MOVE_SUMS = 0.2  # for every column: adding the sum of a block to the result
DOTS = 2.0  # times the speed of int4 in fixed point where bytes are multiplied; llvm-mca has 2.6 on the Cortex-A76
BY_ROWS = 0.8  # of the speed of reading in one piece: reading long pieces of rows that are fetched ahead


@dataclass(frozen=True)
class MemoryLevel:
    """Where weights lie between ticks, and how many bytes a cycle come from there: in one piece, and by single rows."""

    name: str
    streamed: float
    scattered: float


L1 = MemoryLevel("the L1 cache", 50.0, 50.0)
L2 = MemoryLevel("the L2 cache", 28.0, 25.0)
L3 = MemoryLevel("the L3 cache", 22.0, 14.0)
MEMORY = MemoryLevel("memory", 7.0, 4.0)


def level_of(nbytes: int, target: Target) -> MemoryLevel:
    """The nearest cache that holds `nbytes` of weights, all of which are used again every few ticks."""
    l3_bytes = target.l3_bytes or target.family.least_l3_bytes
    caches = ((L1, target.l1_bytes), (L2, target.l2_bytes), (L3, l3_bytes))
    return next((level for level, size in caches if nbytes <= size), MEMORY)


def reads_rows(level: MemoryLevel, target: Target) -> bool:
    """Whether `event_rows` is the better event-driven kernel: where weights have to be waited for."""
    return level in (L3, MEMORY) and target.family.reads_rows


def shares_rows(product: Product) -> bool:
    """Whether `event_batch` is the better event-driven kernel: streams read each row of weights twice or more a tick.

    Measured at 10 % firing, 2048 × 4096 float32: 16 streams take as long either way, 64 half as long; with fewer, what
    one stream reads helps no other, and longer rows are read faster.
    """
    sparsity = product.sparsity
    return product.constant and sparsity is not None and product.rows_out * sparsity.rate >= SHARED


@dataclass(frozen=True)
class MatrixCost:
    """The cost of one product whose weights, stored as `storage`, lie in `level`; its list has `readers` in all.

    Pruned weights are of `pruned_size` and lie in `pruned_level`; None where there are none. `dtype` is of the inputs.
    """

    product: Product
    storage: Storage
    level: MemoryLevel
    target: Target
    readers: int = 1
    pruned_level: MemoryLevel | None = None
    pruned_size: PrunedSize | None = None
    dtype: str = "float32"

    def event(self, rate: float, graded: bool) -> float:
        """Cycles of the event-driven kernel and its share of the list, at a firing rate."""
        product, streams = self.product, self.product.batch * self.product.rows_out
        whole = self.storage.scaled_by_column and not graded  # integers are summed over the whole list
        blocks = 1 if whole else ceil(product.rows / self.storage.sum_block)
        active = rate * product.rows
        speeds = self.storage.speeds_where(self.target.family.adds_widened)
        speed = speeds.multiplied if graded else speeds.added
        summing = active * product.columns * self._cycles_a_weight(speed) * streams
        rows_read = product.rows * (1 - (1 - rate) ** product.rows_out) * product.batch
        scales = blocks * product.columns if self.storage.scaled_by_group else 0
        if product.constant and reads_rows(self.level, self.target):
            summing += blocks * product.columns * self._cycles_a_weight(1 / MOVE_SUMS) * streams
            moving = (rows_read * self._row_bytes / BY_ROWS + scales) / self.level.streamed
            return CALL + self.preparing + max(summing, moving)
        pieces = ceil(product.columns / event_tile(self.target, graded, self.storage)) * streams
        moving = rows_read * self._row_bytes / self.level.scattered + 4 * scales / self.level.streamed
        stretches = pieces * blocks * STRETCH
        return CALL + self.preparing + stretches + max(summing, pieces * active * ADD_CHAIN, moving)

    def dense(self, graded: bool) -> float:
        """Cycles of the dense kernel, which takes integer weights and spikes in fixed point."""
        product = self.product
        tile, row_tile = dense_tile(product.rows_out, self.target)
        streams = product.batch * product.rows_out
        chains = ceil(product.columns / tile) * ceil(product.rows_out / row_tile) * product.batch
        fixed = self.storage.is_integer and not graded
        speeds = self.storage.speeds_where(self.target.family.adds_widened)
        speed = speeds.fixed_point if fixed else speeds.multiplied
        if fixed and byte_dots(self.target, self.storage) is not None:
            speed *= DOTS
        working = product.rows * product.columns * self._cycles_a_weight(speed) * streams
        moving = product.batch * product.rows * self._row_bytes / self.level.streamed
        preparing = self.preparing if fixed else 0.0
        return CALL + preparing + max(working, chains * product.rows * ADD_CHAIN, moving)

    def pruned(self, rate: float) -> float:
        """Cycles of reading lists of the weights that are not zero, of all inputs (rate 1) or of the active ones.

        The additions wait for their weights, so what both take is added.
        """
        product, size, level = self.product, self.pruned_size, self.pruned_level or self.level
        assert size is not None
        streams = product.batch * product.rows_out
        inputs = rate * product.rows * ceil(product.columns / TILE)
        blocks = ceil(product.rows / self.storage.sum_block)
        single = self.storage.speeds.single * self.target.family.single_addition
        adding = (rate * size.entries * single + inputs * LIST_OF_WEIGHTS) * streams
        summing = blocks * product.columns * MOVE_SUMS * 512 / self.target.vector_bits * streams
        moving = size.nbytes * (1 - (1 - rate) ** product.rows_out) / (level.streamed if rate == 1 else level.scattered)
        needs_preparing = rate < 1 or self.storage.is_integer
        return CALL + needs_preparing * self.preparing + adding + summing + moving

    @property
    def lanes(self) -> int:
        """How many lanes `pruned_lanes` would have for this product; 0 where it cannot compute it."""
        possible = self.pruned_size is not None and self.dtype == "float32"
        return lanes_of(self.target, self.product.rows, self.storage) if possible else 0

    def prefers_lanes(self, rate: float) -> bool:
        """Whether all inputs (in vectors) take less time than the active ones by lists of weights, or all by lists."""
        return self.in_lanes() < self.pruned(rate)

    def in_lanes(self) -> float:
        """Cycles of `pruned_lanes`, whose vectors multiply few zeros."""
        product, size, level = self.product, self.pruned_size, self.pruned_level or self.level
        assert size is not None
        if not self.lanes:
            return inf
        waiting = 0.02 + 0.36 / self.lanes  # for weights that lie in no common window
        steps = min(1.0, size.longest + waiting) * product.rows * ceil(product.columns / self.lanes)
        moving = steps * (1 + self.lanes * (1 + self.storage.bits / 8)) / level.streamed
        return CALL + max(steps * self.lanes * LANE_STEP * product.rows_out, moving)

    @property
    def preparing(self) -> float:
        """Its share of listing the active inputs, or of putting all of them in fixed point, which costs as much."""
        return (CALL + LIST * self.product.rows * self.product.batch * self.product.rows_out) / self.readers

    def choose(self, rate: float, graded: bool, fires: str) -> tuple[str, str]:
        """The cheapest kernel at a firing rate, and why in words; `fires` says where the rate comes from."""
        event, dense = self.event(rate, graded), self.dense(graded)
        rows = self.product.rows
        listed = f"adding {rate * rows:.0f} of {rows} rows takes some {_rounded(event)} cycles"
        reason = f"{fires}: {listed}, multiplying all {_rounded(dense)}, with weights in {self.level.name}"
        kernel = "event" if event < dense else "dense"
        if self.pruned_size is None:
            return kernel, reason
        pruned = min(self.pruned(rate), self.in_lanes())
        return "pruned" if pruned <= min(event, dense) else kernel, f"{reason}; {self._zeros(pruned)}"

    def choose_dense(self, why: str) -> tuple[str, str]:
        """The cheaper kernel for inputs all of which are read, and why in words; `why` says why that is."""
        if self.pruned_size is None:
            return "dense", why
        pruned, dense = min(self.pruned(1.0), self.in_lanes()), self.dense(False)
        reason = f"{why}; multiplying all weights takes some {_rounded(dense)} cycles with weights in {self.level.name}"
        return "pruned" if pruned <= dense else "dense", f"{reason}, {self._zeros(pruned)}"

    def _zeros(self, cycles: float) -> str:
        """What leaving out the zeros costs, in words."""
        level = self.pruned_level or self.level
        return f"only those that are not zero {_rounded(cycles)} with these in {level.name}"

    @property
    def _row_bytes(self) -> float:
        return self.product.columns * self.storage.bits / 8

    def _cycles_a_weight(self, speed: float) -> float:
        """Of a target whose vectors may be narrower than those of 512 bits that `speed` is for."""
        return 512 / self.target.vector_bits / speed


def _rounded(cycles: float) -> str:
    """Two digits of an estimate."""
    return f"{float(f'{cycles:.2g}'):,.0f}"
