"""What a product by long rows of weights is, apart from its operands: enough to build its kernels, and to join some."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from astroedge.targets.kernels.products.event_rows import PIECE_BYTES, event_rows, sums_type
from astroedge.targets.precision.storage import Storage

LEAST_PARTS = 4  # of a row, for the threads of most boards
LEAST_PIECE_BYTES = 128  # two lines, which processors fetch together


@dataclass(frozen=True)
class RowForm:
    """A product of `event_rows`, whose parameters these are."""

    rows: int
    columns: int
    graded: bool
    batch: int
    storage: Storage
    short_scales: bool
    exact_sums: bool = False

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of weights."""
        return self.columns * self.storage.bits // 8

    @property
    def sums(self) -> str | None:
        """The dtype of the sums that the kernel keeps in memory, None where it keeps none."""
        return sums_type(self.storage, self.graded)

    def kernel(self) -> tirx.PrimFunc:
        """The kernel for one thread."""
        return self._build(PIECE_BYTES)

    def divided(self) -> tirx.PrimFunc | None:
        """The same in shorter pieces, for threads to divide; None where these are no shorter."""
        part = self.row_bytes // LEAST_PARTS // LEAST_PIECE_BYTES * LEAST_PIECE_BYTES
        piece_bytes = min(PIECE_BYTES, max(LEAST_PIECE_BYTES, part))
        return None if piece_bytes == PIECE_BYTES else self._build(piece_bytes)

    def _build(self, piece_bytes: int) -> tirx.PrimFunc:
        return event_rows(
            self.rows,
            self.columns,
            graded=self.graded,
            batch=self.batch,
            storage=self.storage,
            short_scales=self.short_scales,
            exact_sums=self.exact_sums,
            piece_bytes=piece_bytes,
        )
