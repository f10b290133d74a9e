"""What was chosen for a convolution, and what its sums are estimated to take."""

from __future__ import annotations

from dataclasses import dataclass

from astroedge.bundle.manifest import COST_RATES
from astroedge.targets.boards.board_file import Target
from astroedge.targets.compiler.lower.read_convolution import ConvolutionProduct
from astroedge.targets.compiler.select.convolution_cost import dense_sums, event_sums, windows_together


@dataclass(frozen=True)
class ChosenConvolution:
    """The kernel of a convolution, why, the bytes of its weights as they are stored, and how many are not zero.

    `cycles` is the estimate of its sums, at the firing rates COST_RATES where it is event-driven.
    """

    kernel: str
    reason: str
    nbytes: int
    nonzero: int
    cycles: tuple[int, ...]


def sum_cycles(kernel: str, product: ConvolutionProduct, target: Target, integer: bool, fused: bool) -> tuple[int, ...]:
    """Cycles of the sums alone; `integer` and `fused` are as in `event_cost` and `dense_cost`."""
    conv = product.shape
    if kernel != "event" or product.sparsity is None:
        return (round(dense_sums(conv, target, fused)),)
    together = windows_together(conv, product.sparsity.rate, target, integer)
    return tuple(round(event_sums(conv, rate, together, target, integer)) for rate in COST_RATES)
