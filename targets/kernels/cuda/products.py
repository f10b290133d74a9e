"""Matrix products by the CUDA C library: event-driven and dense, of floats and of integers with scales.

Weights lie row by row, as `pack_rows` packs them: threads take neighbouring columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod
from typing import TYPE_CHECKING

import numpy as np
from tvm import tirx

from astroedge.targets.cuda.library_call import FIRST_BLOCK, library_call
from astroedge.targets.families.gpu_costs import GpuCosts
from astroedge.targets.kernels.products.event_gemv import pack_event
from astroedge.targets.precision.storage import BLOCK, FLOAT32, Storage
from astroedge.targets.precision.weight_format import StoredMatrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

Array = tuple[str, tuple[int, ...], str]
"""The name, shape and dtype of an array that a kernel reads or writes."""

THREADS = 128
"""Threads of a block."""

_WARP = 32
_STRIP = 8  # AE_STRIP of the library
_MANY = 16  # rows by one matrix that are worth keeping its weights in a cache for
_TOTALS = 2048  # sums in shared memory

_AHEAD = 8  # AE_AHEAD of the library: weights a thread waits for at the same time, twice as many if only added
_LISTED = (2, 60)
"""Loads and operations that wait for each other where a block reads and lists 256 inputs."""
_FINISH_LOADS = 3  # of sums, and by who reads what `finish` makes of them; a store takes as long
_WEIGHT_LOADS = 2  # a load from memory takes about as long as two from the second cache


@dataclass(frozen=True)
class RowsForm:
    """How threads divide a product: the function "ae_" + `name`, and whether blocks of inputs are `split` among them.

    `streams` is how many rows of x share one reading of the weights, where that is chosen.
    """

    name: str
    split: bool = False
    streams: int = 0


def pack_rows(stored: StoredMatrix) -> tuple[NDArray[np.generic], NDArray[np.float32] | None]:
    """The flat arrays `weights` and `scales` of a stored matrix: float16 as its bits, no scales beside floats."""
    data, scales = pack_event(stored)
    return (data.view(np.uint16) if stored.storage.is_half else data), scales


@dataclass(frozen=True)
class RowsProduct:
    """y[m, :] = Σ over k of x[m, k]·W[k, :] for `batch` rows m, `per_matrix` of them by each matrix W[rows, columns].

    `dtype` is that of x; `graded` says that active inputs are multiplied, else they are 1; `skips` that silent ones are
    not read, which wants finite weights; `constant` that W is a weight of the step, in `storage`, and not computed.
    `fixed` says that inputs are put in fixed point, which wants integer weights and `per_matrix` of all rows.
    """

    batch: int
    rows: int
    columns: int
    per_matrix: int
    graded: bool
    skips: bool
    constant: bool
    dtype: str = "float32"
    storage: Storage = FLOAT32
    fixed: bool = False

    @property
    def units(self) -> int:
        """Sums that are made of a column before they are added up."""
        return -(-self.rows // self.storage.sum_block)

    @property
    def sums_shape(self) -> tuple[int, int, int]:
        """The shape of the float32 array of split sums."""
        return self.batch, self.units, self.columns

    def form(self, rate: float, costs: GpuCosts) -> RowsForm:
        """How a GPU with these costs divides it where inputs fire at `rate`."""
        blocks = costs.blocks
        if self.skips and self.constant and self.per_matrix >= _MANY:
            tiles = -(-self.storage.data_size(self.columns) // _WARP)
            most = _TOTALS // (64 if self.storage.packs_nibbles else 32)
            fitting = [streams for streams in (64, 32, 16, 8) if tiles * (self.batch // streams) >= blocks]
            return RowsForm("streams", streams=min(most, fitting[0] if fitting else 4))
        if not self.skips and not self.fixed and self.per_matrix >= _STRIP:
            strips = self.batch // self.per_matrix * -(-self.per_matrix // _STRIP)
            tasks = strips * -(-self.storage.data_size(self.columns) // _WARP)
            return RowsForm("strips", split=self.rows > BLOCK and tasks * _WARP < blocks * THREADS)
        tasks = self.batch * -(-self.storage.data_size(self.columns) // THREADS)
        waits = ceil(rate * BLOCK / (_AHEAD if self.graded or not self.skips else 2 * _AHEAD))
        listing = _LISTED[0] * costs.load + _LISTED[1] * costs.operation
        saved = (ceil(self.rows / BLOCK) - 1) * (listing + waits * _WEIGHT_LOADS * costs.load)
        finishing = costs.barrier(blocks) + _FINISH_LOADS * costs.load
        return RowsForm("fixed" if self.fixed else "rows", split=tasks < blocks and saved > finishing)

    def product(self, form: RowsForm) -> tirx.PrimFunc:
        """Kernel (x, weights, [scales], y), or (x, weights, sums) if the form is split, for `finish`.

        - `x`: (batch·rows,) of `dtype`; `weights`: as `pack_rows` packs each matrix, one after the other;
        - `scales`: (groups·columns,) float32 beside int8 and int4 weights;
        - `y`: (batch·columns,) float32; `sums`: `sums_shape` float32.
        """
        pitch = self.storage.data_size(self.columns)
        arrays: list[Array] = [
            ("x", (self.batch * self.rows,), self.dtype),
            ("weights", (self.batch // self.per_matrix * self.rows * pitch,), element_dtype(self.storage)),
        ]
        if form.split:
            arrays.append(("sums", (prod(self.sums_shape),), "float32"))
        else:
            arrays += [*self._scales(), ("y", (self.batch * self.columns,), "float32")]
        graded = _word(self.graded or not self.skips)
        parameters: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
            "rows": ((graded, _word(self.skips), _word(self.constant)), (self.per_matrix, int(form.split))),
            "streams": ((graded,), (form.streams,)),
            "strips": ((_word(self.constant),), (self.per_matrix, int(form.split))),
            "fixed": ((), (int(form.split),)),
        }
        flags, last = parameters[form.name]
        name = f"ae_{form.name}<{', '.join((f'ae_{self.storage.name}', *flags))}>"
        kind = "event_gemv" if self.skips else "dense_gemv"
        sizes: tuple[int | str, ...] = (FIRST_BLOCK, self.rows, self.columns, self.batch, *last)
        whole_columns = self.storage.data_size(self.columns) == self.columns
        in_turn = form == RowsForm("rows", split=False) and self.batch == 1 and whole_columns
        return library_call(kind, name, arrays, sizes, self._blocks(form), in_turn)

    def finish(self) -> tirx.PrimFunc:
        """Kernel (sums, [scales], y): the split sums added up, with the scales of integers."""
        arrays: list[Array] = [("sums", (prod(self.sums_shape),), "float32"), *self._scales()]
        arrays.append(("y", (self.batch * self.columns,), "float32"))
        sizes = (FIRST_BLOCK, self.rows, self.columns, self.batch)
        name = f"ae_finish<ae_{self.storage.name}>"
        blocks = _filled(self.batch * self.columns)
        return library_call("finish_gemv", name, arrays, sizes, blocks, in_turn=True, alone=True)

    def _blocks(self, form: RowsForm) -> int:
        """Blocks that find something to do."""
        elements = self.storage.data_size(self.columns)
        warps = -(-elements // _WARP)
        if form.name == "streams":
            return int(warps * -(-self.batch // form.streams))
        if form.name == "strips":
            strips = self.batch // self.per_matrix * -(-self.per_matrix // _STRIP)
            return _filled(strips * warps * (self.units if form.split else 1) * _WARP)
        return int(self.batch * -(-elements // THREADS) * (-(-self.rows // BLOCK) if form.split else 1))

    def _scales(self) -> list[Array]:
        groups = self.storage.scale_rows(self.rows)
        return [("scales", (groups * self.columns,), "float32")] if groups else []


@dataclass(frozen=True)
class IntegerProduct:
    """y[m, :] = Σ over k of x[m, k]·W[k, :] of integers of `dtype`, int32 or int64, modulo its range.

    There are `batch` rows m, `per_matrix` of them by each matrix W[rows, columns], int8 where `constant`, else `dtype`.
    """

    batch: int
    rows: int
    columns: int
    per_matrix: int
    constant: bool
    dtype: str

    @property
    def sums_shape(self) -> tuple[int, int, int]:
        """The shape of the array of split sums, of `dtype`."""
        return self.batch, -(-self.rows // BLOCK), self.columns

    def is_worth_splitting(self, blocks: int) -> bool:
        """Whether blocks of inputs should be added up by different threads, of `blocks` blocks that run at once."""
        return self.rows > BLOCK and self.batch * self.columns < blocks * THREADS

    def product(self, split: bool) -> tirx.PrimFunc:
        """Kernel (x, weights, y), or (x, weights, sums) if `split`, for `finish`; the weights row by row."""
        weights = self.batch // self.per_matrix * self.rows * self.columns
        out = prod(self.sums_shape) if split else self.batch * self.columns
        arrays: list[Array] = [
            ("x", (self.batch * self.rows,), self.dtype),
            ("weights", (weights,), "int8" if self.constant else self.dtype),
            ("sums" if split else "y", (out,), self.dtype),
        ]
        sizes = (FIRST_BLOCK, self.rows, self.columns, self.batch, self.per_matrix, int(split))
        return library_call("integer_gemv", f"ae_integers<{_word(self.constant)}>", arrays, sizes, _filled(out))

    def finish(self) -> tirx.PrimFunc:
        """Kernel (sums, y): the split sums added up."""
        arrays = (("sums", (prod(self.sums_shape),), self.dtype), ("y", (self.batch * self.columns,), self.dtype))
        sizes = (FIRST_BLOCK, self.rows, self.columns, self.batch)
        return library_call("finish_gemv", "ae_add_integers", arrays, sizes, _filled(self.batch * self.columns))


def embedding_row(count: int, entries: int, width: int, storage: Storage, index_dtype: str) -> tirx.PrimFunc:
    """Kernel (indices, table, [scales], y): that of `products.embedding.embedding_row`, on the same arrays."""
    groups = storage.scale_rows(width)
    arrays: list[Array] = [
        ("indices", (count,), index_dtype),
        ("table", (entries * storage.data_size(width),), element_dtype(storage)),
        *([("scales", (entries * groups,), "float32")] if groups else []),
        ("y", (count * width,), "float32"),
    ]
    sizes = (FIRST_BLOCK, count, entries, width)
    blocks = _filled(count * storage.data_size(width))
    return library_call("embedding_row", f"ae_embedding<ae_{storage.name}>", arrays, sizes, blocks, alone=True)


def count_active(size: int, dtype: str) -> tirx.PrimFunc:
    """Kernel (x, counter): add how many elements of x, (size,) of `dtype`, are not zero to `counter`, int64."""
    arrays = (("x", (size,), dtype), ("counter", (1,), "int64"))
    return library_call("count_active", "ae_count", arrays, (size,))


def element_dtype(storage: Storage) -> str:
    """The dtype of an element of packed weights."""
    return "uint16" if storage.is_half else storage.data_type


def _filled(threads: int) -> int:
    """Blocks that hold so many threads."""
    return -(-threads // THREADS)


def _word(flag: bool) -> str:
    return "true" if flag else "false"
