"""One input of a session: what it accepts, and where in a flat record it goes."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from astroedge.abi.aligned import address_of
from astroedge.abi.limits import ALIGNMENT
from astroedge.bundle.manifest import BufferField, InputField
from astroedge.errors import InputError
from astroedge.runtimes.session.given_values import as_array, plain
from astroedge.session import Array


def field_view(buffer: NDArray[np.uint8], field: BufferField) -> Array:
    """A field of a flat buffer as an array of its shape and dtype."""
    return np.ndarray(field.shape, np.dtype(field.dtype), buffer.data, field.offset)


class Records:
    """`ticks` zeroed records of `size` bytes that follow each other in aligned memory; there is room for one at least.

    `address` is where the first one starts.
    """

    __slots__ = ("_block", "_start", "address", "size", "ticks")

    def __init__(self, size: int, ticks: int) -> None:
        # Like `aligned_zeros`, but makes no array of the aligned part: this is much of what a run of few ticks costs.
        self._block = np.zeros(size * max(ticks, 1) + ALIGNMENT, np.uint8)
        address = address_of(self._block)
        self._start = -address % ALIGNMENT
        self.address = address + self._start
        self.size = size
        self.ticks = ticks

    def field(self, field: BufferField, one: Array) -> Array:
        """A field of every record, as one array with a leading axis of ticks; `one` is the field in a single record."""
        strides = (self.size, *one.strides)
        return np.ndarray((self.ticks, *one.shape), one.dtype, self._block, self._start + field.offset, strides)

    def touch(self) -> None:
        """Have the kernel give the memory now, which it otherwise does page by page when they are first written."""
        self._block.fill(0)

    def record(self, tick: int) -> NDArray[np.uint8]:
        """The bytes of one record."""
        start = self._start + tick * self.size
        return self._block[start : start + self.size]


class InputSlot:
    """An input field and its view on the session's input buffer.

    `view` may be written directly by who has checked that the value is a plain array of `shape` and `dtype`; `write`
    takes everything else that an input accepts.
    """

    __slots__ = ("_first", "_largest", "_numbers", "_smallest", "dtype", "field", "shape", "view")

    def __init__(self, field: InputField, record: NDArray[np.uint8]) -> None:
        self.field = field
        self.view = field_view(record, field)
        self.dtype = self.view.dtype
        self.shape = field.shape
        self._first = (0,) * len(field.shape)
        # Which Python numbers are taken: bool for bool, int for integers, int or float for floats; only for size 1.
        kind = self.dtype.kind
        numbers: tuple[type, ...] = {"b": (bool,), "i": (int,), "u": (int,), "f": (float, int)}[kind]
        self._numbers = numbers if self.view.size == 1 else ()
        self._smallest, self._largest = _limits(self.dtype)

    def write(self, value: object) -> None:
        """Check a value and write it into the record.

        Raises InputError when it is not an array of the input's shape and dtype (or what `as_array` makes one), nor,
        for an input of size 1, a number that the dtype holds.
        """
        if type(value) in self._numbers:
            self._write_number(value)
        elif (array := plain(value)) is not None:
            self.check_array(array, self.shape)
            self.view[...] = array
        elif isinstance(value, np.generic) and self._numbers and value.dtype == self.dtype:
            self.view[...] = value
        elif isinstance(value, np.generic):
            self._refuse(f"a {value.dtype} scalar")
        elif (array := as_array(value, self.dtype)) is not None:
            self.check_array(array, self.shape)
            self.view[...] = array
        else:
            self._refuse(f"the {type(value).__name__} {value!r}"[:80])

    def check_array(self, value: Array, shape: tuple[int, ...]) -> None:
        """Refuse an array of another shape or dtype, with InputError."""
        if value.shape != shape or value.dtype != self.dtype:
            self._refuse(f"{value.dtype} {value.shape}", shape)

    def _write_number(self, value: Any) -> None:
        # Written so that NaN passes: the native check refuses it with its place. Infinity is a value like others.
        if (value < self._smallest or value > self._largest) and value - value == 0:
            self._refuse(f"{value!r}, which {self.dtype} does not hold")
        self.view[self._first] = value

    def _refuse(self, got: str, shape: tuple[int, ...] | None = None) -> NoReturn:
        kind = "bool" if self.dtype.kind == "b" else "number"
        number = f" or a Python {kind}" if shape in (None, self.shape) and self._numbers else ""
        raise InputError(
            f"Input {self.field.name!r} takes a NumPy array {self.field.dtype} {shape or self.shape}{number} and got "
            f"{got}; nothing is cast or reshaped silently."
        )


def _limits(dtype: np.dtype[Any]) -> tuple[float, float]:
    """The smallest and the largest finite number of a dtype."""
    if dtype.kind == "b":
        return 0, 1
    if dtype.kind == "f":
        return float(np.finfo(dtype).min), float(np.finfo(dtype).max)
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
