"""Tables of which only comparisons with a constant are read: their integers keep what the comparison says.

A binary embedding is such a table, 1 where a number is not negative (SpikeGPT's): a small negative number whose nearest
integer is 0 would become a spike, however exact the others are. One step further from the number it stays what it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from astroedge.step.graph_index import GraphIndex
from astroedge.step.tensor_data import array_of
from astroedge.targets.precision.weight_format import StoredMatrix, store

COMPARISONS: dict[str, Any] = {
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
}


@dataclass(frozen=True)
class Decision:
    """A comparison of a table's numbers with a constant, by its operator; `constant_first` if that stands left."""

    comparison: str
    constant: np.float32
    constant_first: bool

    def of(self, numbers: NDArray[np.float32]) -> NDArray[np.bool_]:
        """What the comparison says of each number."""
        operands = (self.constant, numbers) if self.constant_first else (numbers, self.constant)
        said: NDArray[np.bool_] = COMPARISONS[self.comparison](*operands)
        return said


def find_decision(name: str, index: GraphIndex) -> Decision | None:
    """The comparison that alone reads what is looked up in the table `name`; None where anything else does."""
    found = set()
    for node, position in index.readers.get(name, ()):
        looked_up = str(node.output[0])
        if node.op_type != "Gather" or position != 0 or looked_up in index.leaving:
            return None
        for reader, place in index.readers.get(looked_up, ()):
            constant = index.stored.get(reader.input[1 - place]) if reader.op_type in COMPARISONS else None
            if constant is None or constant.data_type != onnx.TensorProto.FLOAT or array_of(constant).size != 1:
                return None
            found.add(Decision(reader.op_type, np.float32(array_of(constant).reshape(-1)[0]), place == 1))
    return found.pop() if len(found) == 1 else None


def keep_decisions(weights: NDArray[np.float32], stored: StoredMatrix, decision: Decision) -> StoredMatrix:
    """W[rows, columns] as stored in integers, those moved by one of which the comparison would say something else.

    A weight that the range clips stays where it is.
    """
    assert stored.scales is not None
    storage, numbers = stored.storage, stored.dequantise()
    wrong = decision.of(numbers) != decision.of(weights)
    if not wrong.any():
        return stored
    groups = np.arange(len(weights)) // storage.group_rows(len(weights))
    towards = np.sign(weights - numbers) * np.sign(stored.scales[groups])
    moved = np.clip(stored.values + wrong * towards, storage.lowest, storage.largest).astype(np.int8)
    return store(StoredMatrix(storage, moved, stored.scales).dequantise(), storage)
