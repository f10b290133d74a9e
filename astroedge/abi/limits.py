"""The numbers that compiler and runtimes must agree on, as astro_abi.h has them."""

from __future__ import annotations

ABI_VERSION = 1
ALIGNMENT = 64  # bytes: of every buffer, of every field inside one, and of every size
MAX_THREADS = 64  # of a team that computes one session's ticks
