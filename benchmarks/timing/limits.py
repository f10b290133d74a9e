"""The least time that a tick can take: the bytes it must touch, read as fast as this machine reads.

What a tick must touch: of a matrix that reads spikes, the rows of the spikes that fire, and the scales of the groups of
inputs in which any does; every other matrix and all other scales, biases and norms in full; the selected rows of an
embedding; every state read and written, of a state that is a matrix itself (AstroSNN's H) the rows that its spikes
select, read once to answer and once to change, and written; inputs and outputs. Weights that many products share, as
the pixels of a convolution do, count once: there arithmetic, not memory, sets the limit, and this one is far below it.
Everything the step keeps (weights, state, workspace) is its working set, which decides the cache it lives in: over time
all rows are touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from astroedge.bundle.manifest import JOINED, BufferField, Layout, Manifest, Matrix
from astroedge.targets.precision.storage import STORAGES
from benchmarks.timing.bandwidth import bandwidth_at

SHORTEST_ROW = 16  # elements of an embedding; what has as many rows but shorter ones is a bias or a scale


@dataclass(frozen=True)
class Limit:
    """`touched` and `working_set` in bytes, `bandwidth` in GB/s, and the least microseconds of a tick."""

    touched: int
    working_set: int
    bandwidth: float

    @property
    def microseconds(self) -> float:
        """Touched bytes over bandwidth."""
        return self.touched / self.bandwidth / 1e3


def limit_of(manifest: Manifest, rates: Mapping[str, float], bandwidth: Mapping[int, float]) -> Limit:
    """The limit of a bundle's tick at the firing `rates` (by activity) that were measured while it was timed."""
    layout = manifest.layout
    working_set = sum(
        (layout.inputs_size, layout.outputs_size, layout.state_size, layout.weights_size, layout.workspace_size)
    )
    return Limit(touched_bytes(manifest, rates), working_set, bandwidth_at(bandwidth, working_set))


def touched_bytes(manifest: Manifest, rates: Mapping[str, float]) -> int:
    """The bytes that a tick must read or write."""
    layout = manifest.layout
    states = {state.name: state.nbytes for state in layout.state}
    products = {matrix.name: matrix for matrix in manifest.matrices}
    stored: set[str] = set()
    total = 0.0
    for field in layout.weights:
        stem, _, suffix = field.name.rpartition(".")
        owners = [stem] if stem in products else stem.split(JOINED)
        if products.keys() >= set(owners):
            stored.update(owners)
            total += field.nbytes * _share_read(products[owners[0]], suffix, rates)
        else:
            total += _parameter_bytes(field, layout)
    for name in products.keys() - stored:
        firing = _firing(products[name], rates)
        shared = products[name].calls != 1
        total += 3 * firing * states.pop(name) if name in states else (shared or firing) * products[name].nbytes
    total += 2 * sum(states.values())
    total += sum(field.nbytes for field in (*layout.inputs, *layout.outputs))
    return round(total)


def _share_read(matrix: Matrix, suffix: str, rates: Mapping[str, float]) -> float:
    """How much of a stored part of a matrix a tick reads: what its spikes select, and what many pixels share whole."""
    if matrix.calls != 1 or suffix not in ("weight", "scales"):
        return 1.0
    firing, group = _firing(matrix, rates), STORAGES[matrix.precision].group
    if suffix == "weight":
        return firing
    return 1 - (1 - firing) ** group if group and matrix.kernel == "event" else 1.0


def _firing(matrix: Matrix, rates: Mapping[str, float]) -> float:
    """How many of its inputs count: those that fire, or all."""
    return 1.0 if matrix.spikes is None else rates[matrix.spikes]


def _parameter_bytes(field: BufferField, layout: Layout) -> float:
    """The whole of a parameter that belongs to no matrix product; of an embedding only the rows that are selected."""
    elements = prod(field.shape)
    for item in layout.inputs:
        table = item.check_range and elements % item.high == 0 and elements >= SHORTEST_ROW * item.high
        if table:
            return field.nbytes / item.high * prod(item.shape)
    return field.nbytes
