"""Operators element by element: what they make of values at rest, found by computing them there.

No operator needs a rule of its own: it is computed with the operands at rest, stored operands as they are, and some
numbers for whatever nothing is known of. If the result is one number whatever these are, that is where it rests.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astroedge.host_package import require
from astroedge.step.sparsity import Resting, joint

if TYPE_CHECKING:
    import onnx
    from onnx import helper, reference
else:
    onnx = require("onnx", "reading a step graph")
    helper = require("onnx.helper", "reading a step graph")
    reference = require("onnx.reference", "reading a step graph")

Array = NDArray[Any]
MOST_CHOICES = 4  # operands that may be 0 or 1 of which all combinations are computed
FLOATS = ((-1.7, 0.6, 3.1), (-2.3, 0.45, 4.2), (-0.7, 0.8, 2.6))
WHOLE = ((1, 2, 5), (3, 1, 4), (2, 6, 7))


class Elementwise:
    """One call of an element-wise operator, ready to be computed on single elements.

    `stored` has its constant operands, `elements` the ONNX element type of every operand, `ranks` the number of axes.
    """

    def __init__(
        self,
        node: onnx.NodeProto,
        stored: Mapping[str, Array],
        elements: Mapping[str, int],
        ranks: Mapping[str, int],
        opsets: list[onnx.OperatorSetIdProto],
    ) -> None:
        self.varying = list(dict.fromkeys(name for name in node.input if name and name not in stored))
        self.stored = {name: stored[name] for name in node.input if name in stored}
        self.types = {name: helper.tensor_dtype_to_np_dtype(elements[name]) for name in self.varying}
        self.shape = (1,) * max([ranks[name] for name in self.varying], default=0)
        self.output = node.output[0]
        values = [helper.make_tensor_value_info(name, elements[name], None) for name in {*self.varying, *self.stored}]
        result = helper.make_tensor_value_info(self.output, elements[self.output], None)
        graph = helper.make_graph([node], "one", values, [result])
        self.evaluator = reference.ReferenceEvaluator(helper.make_model(graph, opset_imports=opsets))

    def rest(self, known: Mapping[str, Resting]) -> Resting | None:
        """What the call makes of the operands in `known`; None where the result has no value it rests at."""
        operands = [name for name in self.varying if name in known]
        gates = [(known[name], self._constant({name: known[name].rest})) for name in operands]
        shut = [replace(gate, rest=value) for gate, value in gates if value is not None]
        if shut:
            return min(shut, key=lambda item: item.rate)
        value = self._constant({name: known[name].rest for name in operands}) if operands else None
        return None if value is None else joint([known[name] for name in operands], value)

    def keeps_binary(self, is_binary: Callable[[str], bool]) -> bool:
        """Whether every element of the result is exactly 0 or 1 because those of all operands are."""
        if not self.varying or len(self.varying) > MOST_CHOICES or not all(map(is_binary, self.varying)):
            return False
        choices = itertools.product((0, 1), repeat=len(self.varying))
        return all(
            np.isin(self._compute(dict(zip(self.varying, given, strict=True))), (0, 1)).all() for given in choices
        )

    def _constant(self, at_rest: Mapping[str, float]) -> float | None:
        """The one finite number that the result is in every element, whatever the other operands are; None if none."""
        others = [name for name in self.varying if name not in at_rest]
        found: set[float] = set()
        for trial in range(3 if others else 1):
            given = {name: self._sample(name, place, trial) for place, name in enumerate(others)}
            found.update(np.unique(self._compute({**at_rest, **given})).astype(float).tolist())
            if len(found) > 1:
                return None
        value = found.pop() if found else float("nan")
        return value + 0.0 if np.isfinite(value) else None

    def _sample(self, name: str, place: int, trial: int) -> float:
        """A number that stands for anything."""
        if self.types[name] == np.bool_:
            return trial % 2
        samples = FLOATS if np.issubdtype(self.types[name], np.floating) else WHOLE
        return samples[place % len(samples)][trial]

    def _compute(self, given: Mapping[str, float]) -> Array:
        feeds = {name: np.full(self.shape, value).astype(self.types[name]) for name, value in given.items()}
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            (result,) = self.evaluator.run(None, {**self.stored, **feeds})
        return np.asarray(result)
