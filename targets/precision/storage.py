"""What a weight can be stored in, one object a precision: all that depends on it, from its bits to what its sums cost.

A stored weight is a float, or an integer q that a scale multiplies. Quantising, kernels and the choice between kernels
ask these objects; nothing else compares the words that users say, which are the keys of `STORAGES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroedge.errors import CompileError

BLOCK = 256
"""Inputs of a matrix product are summed in blocks of this many; block sums are added in ascending order."""

GROUP = 64
"""Active inputs are listed with a bound at every multiple of this, so sums can begin there and nowhere else."""

EXACT = 2**24
"""Every integer up to this one is a float32."""


@dataclass(frozen=True)
class Speeds:
    """How many weights a cycle 512-bit vectors add as they are, multiply by a float, multiply by a fixed-point input.

    Fitted on an AVX-512 processor (benchmarks/results/kernels.md); those for ARM are what llvm-mca says of the
    Cortex-A72 and A76 alike (benchmarks/results/arm.md), not measured. Only integers meet inputs in fixed point.
    `single` is how long the addition of a single weight at a computed place takes, of a float32 one 1.
    """

    added: float
    multiplied: float
    fixed_point: float = 0.0
    single: float = 1.0


@dataclass(frozen=True)
class Storage:
    """One precision.

    - `name`: what users say and manifests hold;
    - `bits`: of one weight; `data_type`: of the elements that hold them in a kernel's parameters;
    - `widened_speeds`: its speeds where one instruction widens integers and adds them, and none multiplies pairs and
      adds the products, as on ARM; None where they are no others;
    - `lowest`, `largest`: the range of the integers q, 0 and 0 for floats;
    - `group`: inputs that share a scale in each output column, a multiple of `GROUP` that divides `BLOCK`; 0 where a
      column of integers has one scale, and floats none;
    - `shrinks`: what is tried on the scale that fits the largest weight of a group, which a smaller one clips;
    - `by_examples`: whether what a matrix reads in the examples of its graph decides its integers;
    - `in_convolutions`: the precision that a convolution has instead: its kernels read neither nibbles nor scales of
      groups.
    """

    name: str
    bits: int
    data_type: str
    speeds: Speeds
    lowest: int = 0
    largest: int = 0
    group: int = 0
    shrinks: tuple[float, ...] = (1.0,)
    by_examples: bool = False
    in_convolutions: Storage | None = None
    widened_speeds: Speeds | None = None

    def speeds_where(self, adds_widened: bool) -> Speeds:
        """Its speeds on processors with, or without, an instruction that widens integers and adds them."""
        return self.widened_speeds if adds_widened and self.widened_speeds else self.speeds

    @property
    def is_plain(self) -> bool:
        """Whether a matrix stays as it is: float32 numbers that kernels read without widening them."""
        return self.data_type == "float32"

    @property
    def is_half(self) -> bool:
        """Whether a matrix holds float16 numbers, which kernels widen."""
        return self.data_type == "float16"

    @property
    def is_integer(self) -> bool:
        """Whether the stored numbers are integers, which a scale multiplies."""
        return self.largest > 0

    @property
    def packs_nibbles(self) -> bool:
        """Whether two numbers share a byte, as `stored_weights.pack_nibbles` lays them out."""
        return self.bits == 4

    @property
    def scaled_by_column(self) -> bool:
        """Whether a column has one scale, which its finished sum is multiplied by."""
        return self.is_integer and not self.group

    @property
    def scaled_by_group(self) -> bool:
        """Whether the sum of each group of inputs has a scale of its own."""
        return self.is_integer and self.group > 0

    @property
    def sum_block(self) -> int:
        """Inputs that are summed before their sum is scaled (by group) or added to those of other blocks."""
        return self.group or BLOCK

    @property
    def most_rows(self) -> int | None:
        """The most inputs of a matrix whose sums of integers are exact in float32; None where there is no limit.

        The sums of groups are short, and floats are rounded in one order everywhere.
        """
        return EXACT // max(self.largest, -self.lowest) if self.scaled_by_column else None

    def group_rows(self, rows: int) -> int:
        """How many consecutive inputs of a matrix of `rows` share a scale."""
        return self.group or rows

    def group_of(self, row: int) -> int:
        """Which of a column's scales the input `row` has."""
        return row // self.group if self.group else 0

    def scale_rows(self, rows: int) -> int:
        """How many scales each column has: none, one, or one for each group of inputs."""
        if not self.is_integer:
            return 0
        return -(-rows // self.group) if self.group else 1

    def data_size(self, columns: Any) -> Any:
        """Elements of `data_type` that hold `columns` weights of a row: a number, or an expression of a kernel."""
        return (columns + 1) // 2 if self.packs_nibbles else columns

    def nbytes(self, rows: int, columns: int) -> int:
        """Bytes of a matrix and its float32 scales, before kernels lay it out."""
        return rows * columns * self.bits // 8 + 4 * self.scale_rows(rows) * columns

    def check_rows(self, rows: int) -> None:
        """Refuse a matrix whose integer sums might not be exact in float32, as they are when floats are added.

        Raises CompileError.
        """
        if self.most_rows is not None and rows > self.most_rows:
            raise CompileError(
                f"An {self.name} matrix of {rows} inputs has sums beyond 2^24, which float32 does not hold exactly; "
                f"the most is {self.most_rows}. Use precision float16 or int4 for it."
            )

    def problem(self, tensor: NDArray[Any], rows: int) -> str | None:
        """Why the weights of a matrix of `rows` inputs, in whatever shape, cannot be stored so; None when they can."""
        if self.is_plain:
            return None
        if not np.isfinite(tensor).all():
            return "it holds an infinity or a NaN"
        if not self.is_integer:
            largest = float(np.finfo(self.data_type).max)
            return f"it holds a weight that {self.name} cannot" if np.abs(tensor).max() > largest else None
        if tensor.dtype != np.float32:
            return f"the graph has it in {tensor.dtype}, which cannot hold the quantised weights exactly"
        return "its scales would take more room than that saves" if rows < 2 else None


FLOAT32 = Storage("float32", 32, "float32", Speeds(added=16.0, multiplied=12.0))

FLOAT16 = Storage("float16", 16, "float16", Speeds(added=10.0, multiplied=6.0, single=1.3))

INT8 = Storage(
    "int8",
    8,
    "int8",
    Speeds(added=16.0, multiplied=4.0, fixed_point=12.0),
    widened_speeds=Speeds(added=50.0, multiplied=4.0, fixed_point=7.5),
    lowest=-128,  # 256 rows of it add up in an int16
    largest=127,
)

INT4 = Storage(
    "int4",
    4,
    "uint8",
    Speeds(added=22.0, multiplied=3.0, fixed_point=8.0, single=1.4),
    widened_speeds=Speeds(added=55.0, multiplied=3.0, fixed_point=7.0, single=1.4),
    lowest=-8,  # a sixteenth that cannot be spared
    largest=7,
    group=GROUP,
    shrinks=tuple(1.0 - 0.02 * step for step in range(21)),
    by_examples=True,
    in_convolutions=INT8,
)

STORAGES = {storage.name: storage for storage in (FLOAT32, FLOAT16, INT8, INT4)}
"""Every precision, by the word that users say; in the order in which messages list them."""


def storage_of_data(dtype: str) -> Storage:
    """The storage whose packed weights are numbers of that dtype; each has its own."""
    return next(storage for storage in STORAGES.values() if storage.data_type == dtype)
