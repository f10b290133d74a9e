"""Synaptic operations of a compiled step by NeuroBench's definitions, from the manifest and the activity counters.

NeuroBench 2.3 counts, for every call of a linear or convolutional layer, Σ_ij 1[W_ij ≠ 0] · 1[x_j ≠ 0]: *effective ACs*
(accumulates) when the inputs are spikes of one magnitude, *effective MACs* otherwise; *dense* is the same with every
indicator 1. Biases are not counted. A bundle knows how many inputs of a spike-driven matrix were active and how many
weights are zero, not which ones meet; so a count is exact when no weight is zero and an average over the matrix
otherwise.
Products with a state (an astrocyte's memory read by spikes) are counted the same way, although NeuroBench looks at
layers only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from astroedge.bundle.manifest import Activity, Matrix
from astroedge.step_profile import MatrixOperations, SynapticOperations


def count_operations(
    matrices: Sequence[Matrix], activity: Sequence[Activity], active: Mapping[str, int], steps: int
) -> SynapticOperations:
    """Synaptic operations of one step, averaged over `steps` steps.

    `active` gives, by spike tensor, how many of its elements were non-zero, summed over the steps.
    """
    sizes = {item.name: item.size for item in activity}
    counted = tuple(_spiking(item, sizes, active, steps) if item.spikes else _dense(item) for item in matrices)
    return SynapticOperations(
        effective_acs=sum(item.effective for item in counted if item.kind == "AC"),
        effective_macs=sum(item.effective for item in counted if item.kind == "MAC"),
        dense=sum(item.dense for item in counted),
        label="measured" if all(item.label == "measured" for item in counted) else "estimated",
        matrices=counted,
    )


def _spiking(matrix: Matrix, sizes: Mapping[str, int], active: Mapping[str, int], steps: int) -> MatrixOperations:
    """A matrix whose inputs are counted: every active one meets the non-zero weights of its row."""
    assert matrix.spikes is not None
    inputs, weights = matrix.rows * matrix.calls, matrix.rows * matrix.columns
    # An element of a spike tensor enters inputs / size products: 1, or more where a convolution's windows overlap.
    reads = active[matrix.spikes] / steps * inputs / sizes[matrix.spikes]
    nonzero = weights if matrix.nonzero is None else matrix.nonzero
    doubts = []
    if matrix.nonzero is None:
        doubts.append("zeros in a state are not counted")
    elif matrix.nonzero < weights:
        doubts.append("zero weights are taken as spread evenly over the rows")
    if inputs != sizes[matrix.spikes]:
        doubts.append("overlapping reads are taken as spread evenly over the inputs")
    effective = reads * matrix.columns * nonzero / weights
    label = "estimated" if doubts else "measured"
    kind = "MAC" if matrix.graded else "AC"
    return MatrixOperations(matrix.name, kind, effective, weights * matrix.calls, label, "; ".join(doubts))


def _dense(matrix: Matrix) -> MatrixOperations:
    """A matrix that reads real numbers: nothing counts its zero inputs, so its effective MACs are an upper bound."""
    weights = matrix.rows * matrix.columns
    nonzero = weights if matrix.nonzero is None else matrix.nonzero
    note = "every element of the dense input is taken as non-zero"
    return MatrixOperations(
        matrix.name, "MAC", float(nonzero * matrix.calls), weights * matrix.calls, "estimated", note
    )
