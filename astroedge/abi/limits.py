"""The numbers that compiler and runtimes must agree on, as astro_abi.h has them."""

from __future__ import annotations

ABI_VERSION = 1
ALIGNMENT = 64  # bytes: of every buffer, of every field inside one, and of every size
MAX_THREADS = 64  # of a team that computes one session's ticks
LARGEST_BUFFER = 1 << 40  # bytes; a size that no device has is a lie or a mistake
LARGEST_MANIFEST = 1 << 26  # bytes; thousands of times what a large step has
LARGEST_TABLE = 1 << 16  # fields of a buffer, counters, golden ticks, assets
LARGEST_RANK = 64  # axes of a field; NumPy has no more
SPIKE_BITS = 53  # of a drawn number that are compared with a firing rate
MOST_VALUES = 64  # in the table of a draw

# The exponents of a drawn float's range whose products with the drawn integers are exact in the dtype: those of its
# normal numbers, for float64 those that keep the power itself normal.
UNIFORM_EXPONENTS = {"float16": (-14, 15), "float32": (-126, 127), "float64": (-970, 1023)}
