"""Where a compiled step and ONNX Runtime disagree: what float64 says of it, and which of the two is off.

ONNX Runtime is fast and usually right. Where it is not (its Sigmoid is 0 from −18 on, so that a logarithm of it is −∞),
a right step must not be refused; nor must one whose values a chain of operators amplifies further than the error bounds
follow. A tick on which the two disagree is therefore evaluated again in float64, under the same dictated spikes, once
plainly and a few times with every result rounded by chance (`astroedge.step.float64_step`). A value is right when it is
within its tolerance, or within what rounding spreads the evaluations to, of one of them. Where that is not so, further
evaluations decide roundings next to an edge as the step may have (`astroedge.runtimes.checking.near_ties`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from astroedge.runtimes.checking.near_ties import NearTies
from astroedge.runtimes.checking.reference import ObservedReference
from astroedge.session import Array

SAMPLES = 4  # randomly rounded evaluations of a tick
SEARCHES = 8  # ticks that are searched for roundings next to an edge: each is evaluated some 50 times or more
SPREADS = 16.0  # how far from one of them a right value may lie, in widths of all of them


@dataclass(frozen=True)
class Judgement:
    """What float64 says of some elements of a tensor, one entry each.

    `expected` is the plain float64 value, `error` how far the step is from the nearest evaluation and `tolerance` how
    far it may be; `right` and `reference_right` say who is within it.
    """

    expected: NDArray[np.float64]
    error: NDArray[np.float64]
    tolerance: NDArray[np.float64]
    right: NDArray[np.bool_]
    reference_right: NDArray[np.bool_]


@dataclass(frozen=True)
class Tolerance:
    """A share of max(1, size), and what the error bounds allow each element, not finite where they say nothing."""

    relative: float
    bounds: NDArray[np.float64]

    def of(self, size: NDArray[np.float64]) -> NDArray[np.float64]:
        """That of values of a size."""
        return self.relative * np.maximum(size, 1.0)


Search = Callable[[Mapping[str, Array], float], list[dict[str, Array]]]


class Opinion:
    """One tick in float64: the plain values first, then the rounded ones, by name in the observed graph."""

    def __init__(self, evaluations: list[dict[str, Array]], search: Search | None = None) -> None:
        """Keep the evaluations, and how more of them are found."""
        self._evaluations, self._search = evaluations, search
        self._drawn = len(evaluations)

    def explain(self, ours: Mapping[str, Array], share: float) -> bool:
        """Look once for roundings next to an edge that explain `ours`, the step's results by name in the graph.

        `share` is that of max(1, size) which is rounding. Returns whether there are more evaluations than before.
        """
        search, self._search = self._search, None
        found = [] if search is None else search(ours, share)
        self._evaluations += found
        return bool(found)

    def values(self, name: str, elements: NDArray[np.intp], dtype: np.dtype[np.generic]) -> Array:
        """Each evaluation's values at some flat indices, `(evaluations, elements)`; beyond the dtype's range ±∞."""
        found = np.stack([np.ravel(item[name])[elements] for item in self._evaluations])
        if found.dtype.kind != "f":
            return found.astype(np.float64)
        with np.errstate(over="ignore"):
            return np.where(np.isinf(found.astype(dtype)), found.astype(dtype), found).astype(np.float64)

    def judge(
        self, name: str, elements: NDArray[np.intp], ours: Array, theirs: Array, tolerance: Tolerance
    ) -> Judgement:
        """Judge the step's values `ours` and ONNX Runtime's `theirs` at some flat indices of a tensor.

        Integers and Booleans must be those of an evaluation.
        """
        values = self.values(name, elements, ours.dtype)
        allowed = np.zeros(elements.shape)
        if ours.dtype.kind == "f":
            size = np.where(np.isfinite(values[0]), np.abs(values[0]), 0.0)
            # What was found differs by decisions, and says nothing of how far rounding reaches.
            allowed = np.fmax(tolerance.of(size), SPREADS * spread(values[: self._drawn]))
            allowed = np.fmax(allowed, np.where(np.isfinite(tolerance.bounds), tolerance.bounds, 0.0))
        error, other = _nearest(ours, values), _nearest(theirs, values)
        return Judgement(values[0], error, allowed, error <= allowed, other <= allowed)


class ThirdOpinion:
    """A graph in float64, made when it is first asked for."""

    def __init__(self, reference: ObservedReference) -> None:
        """Ask about the graph of `reference`."""
        self._reference = reference
        self.failure = ""  # why it cannot be asked
        self._searches = 0

    def ask(
        self, inputs: Mapping[str, Array], states: Mapping[str, Array], spikes: Mapping[str, Array] | None
    ) -> Opinion | None:
        """A tick as `ObservedReference.tick` computes it; None, with `failure` set, where it cannot be evaluated."""
        feeds = self._reference.aligned_feeds(inputs, states, spikes)
        try:
            randoms = [None, *(np.random.default_rng(seed) for seed in range(SAMPLES))]
            evaluations = [self._step.run(feeds, random) for random in randoms]
            self._compare_shapes(evaluations[0])
            return Opinion(evaluations, self._searcher(feeds))
        except Exception as error:  # whatever a kernel of ONNX's evaluator raises
            self.failure = str(error).splitlines()[0] if str(error) else type(error).__name__
            return None

    def _searcher(self, feeds: Mapping[str, Array]) -> Search | None:
        """How a tick is searched for roundings next to an edge; None once enough ticks were."""
        if self._searches >= SEARCHES:
            return None
        kept = {name: array.copy() for name, array in feeds.items()}

        def search(ours: Mapping[str, Array], share: float) -> list[dict[str, Array]]:
            self._searches += 1
            randoms = [np.random.default_rng(seed) for seed in range(SAMPLES)]
            try:
                return NearTies(self._step, kept, randoms).explain(ours, share)
            except Exception:  # a value that came out otherwise may be no index, say: then it explains nothing
                return []

        return search

    def _compare_shapes(self, values: Mapping[str, Array]) -> None:
        """Raise ValueError where the evaluator reads an operator's form as one of another size."""
        spec = self._reference.spec
        results = [(item.name, item.shape) for item in spec.outputs]
        for name, shape in (*results, *((state.output_name, state.shape) for state in spec.states)):
            if np.shape(values[name]) != shape:
                raise ValueError(f"it gives {name} the shape {list(np.shape(values[name]))}")

    @cached_property
    def _step(self):  # type: ignore[no-untyped-def]  # its class is for hosts
        from astroedge.step.float64_step import Float64Step
        from astroedge.step.graph_index import infer_types

        observed, model = self._reference.observed, self._reference.graph.model
        scales = set(observed.scales.values())
        names = [item.name for item in observed.model.graph.output if item.name not in scales]
        return Float64Step(observed.model, names, infer_types(model).elements)


def spread(values: Array) -> NDArray[np.float64]:
    """How far apart the finite evaluations of each element lie, but for the widest gap between them.

    Where rounding decides a jump they lie on both sides of it, and what is between is nobody's value.
    """
    ordered = np.sort(np.where(np.isfinite(values), values, np.nan), axis=0)  # NaNs last
    gaps = np.diff(ordered, axis=0)
    gaps = np.where(np.isnan(gaps), 0.0, gaps)
    width: NDArray[np.float64] = gaps.sum(axis=0) - gaps.max(axis=0)
    return width


def _nearest(one: Array, values: Array) -> NDArray[np.float64]:
    """The distance to the nearest evaluation; 0 from an infinity or NaN to the same, infinite to anything else."""
    one = one.astype(np.float64)
    same = (values == one) | (np.isnan(values) & np.isnan(one))
    with np.errstate(invalid="ignore"):
        distance = np.abs(values - one)
    distance = np.where(same, 0.0, np.where(np.isnan(distance), np.inf, distance))
    nearest: NDArray[np.float64] = distance.min(axis=0)
    return nearest
