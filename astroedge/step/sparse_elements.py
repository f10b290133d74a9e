"""Operators element by element: what they make of values at rest, found by computing them there.

No operator needs a rule of its own: it is computed with the operands at rest, stored operands as they are, and some
numbers for whatever nothing is known of. If the result is one number whatever these are, that is where it rests.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping
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
# What ONNX's reference raises for a form or dtype that it lacks; nothing is known of the result then.
UNKNOWN_FORM = (TypeError, ValueError, RuntimeError, NotImplementedError, IndexError)
TRIALS = 3
MOST_VALUES = 8  # a value of more is taken for any number
MOST_CHOICES = 64  # combinations of the values of operands
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
        shape = np.broadcast_shapes(*(array.shape for array in self.stored.values()))
        rank = max([len(shape), *(ranks[name] for name in self.varying)])
        self.shape = (1,) * (rank - len(shape)) + shape
        self.found: dict[tuple[frozenset[float], ...], frozenset[float] | None] = {}
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

    def values(self, known: Mapping[str, frozenset[float]]) -> frozenset[float] | None:
        """The few values that the result can have if each operand has only those in `known`; None for more."""
        if not self.varying or not known.keys() >= set(self.varying):
            return None
        sets = tuple(known[name] for name in self.varying)
        if sets not in self.found:
            choices = list(itertools.islice(itertools.product(*map(sorted, sets)), MOST_CHOICES + 1))
            given = {name: [choice[place] for choice in choices] for place, name in enumerate(self.varying)}
            results = np.unique(self._compute(given)).astype(float) if len(choices) <= MOST_CHOICES else np.zeros(0)
            few = 0 < len(results) <= MOST_VALUES and bool(np.isfinite(results).all())
            self.found[sets] = frozenset(results.tolist()) if few else None
        return self.found[sets]

    def _constant(self, at_rest: Mapping[str, float]) -> float | None:
        """The one finite number that the result is in every element, whatever the other operands are; None if none."""
        others = [name for name in self.varying if name not in at_rest]
        trials = range(TRIALS if others else 1)
        samples = {name: [self._sample(name, place, trial) for trial in trials] for place, name in enumerate(others)}
        found = self._compute({**samples, **{name: [value] * len(trials) for name, value in at_rest.items()}})
        if others and found.size:
            found = np.concatenate([found, self._where_all_are_alike(others, at_rest)])
        value = float(found.flat[0]) if found.size and (found == found.flat[0]).all() else float("nan")
        return value + 0.0 if np.isfinite(value) else None

    def _where_all_are_alike(self, others: list[str], at_rest: Mapping[str, float]) -> Array:
        """The result where the others hold what an operand at rest does: Equal shows there; empty for no number."""
        alike = next(iter(at_rest.values()))
        found = self._compute({name: [at_rest.get(name, alike)] for name in (*others, *at_rest)})
        return found if np.isfinite(found).all() else found[:0]

    def _sample(self, name: str, place: int, trial: int) -> float:
        """A number that stands for anything."""
        if self.types[name] == np.bool_:
            return trial % 2
        samples = FLOATS if np.issubdtype(self.types[name], np.floating) else WHOLE
        return samples[place % len(samples)][trial]

    def _compute(self, given: Mapping[str, list[float]]) -> Array:
        """The results for several choices of the operands at once, along a first axis."""
        feeds = {
            name: np.broadcast_to(
                np.asarray(numbers).astype(self.types[name]).reshape(-1, *(1,) * len(self.shape)),
                (len(numbers), *self.shape),
            )
            for name, numbers in given.items()
        }
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                (result,) = self.evaluator.run(None, {**self.stored, **feeds})
            except UNKNOWN_FORM:
                return np.full((1,), np.nan)
        return np.asarray(result)
