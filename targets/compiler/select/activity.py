"""The activity counters of a step: which tensors are counted, and under what names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, count

import numpy as np

from astroedge.step.sparsity import Sparsity
from astroedge.targets.compiler.lower.legalize import Product
from astroedge.targets.compiler.lower.read_convolution import ConvolutionProduct
from astroedge.targets.compiler.program.step_program import Value


@dataclass(frozen=True)
class Counter:
    """An activity counter: the uint64 at `value` grows by the active elements of a tensor of `size` every tick."""

    name: str
    size: int
    rate: float
    value: Value


class ActivityCounters:
    """The counters of a step under construction.

    `spikes` has the value of each spike tensor by its name, `rates` their firing rates.
    """

    def __init__(self, spikes: Mapping[str, Value], rates: Mapping[str, float]) -> None:
        self.spikes = spikes
        self.rates = rates
        self.all: list[Counter] = []
        self.counted: dict[Value, Counter] = {}

    def uncounted_spikes(self) -> Iterator[tuple[Value, Counter]]:
        """The spike tensors that nothing counts yet, with new counters, which come first in `all` afterwards."""
        named: list[Counter] = []
        for name, value in self.spikes.items():
            counter = self.counted.get(value)
            if counter is None or counter in named:  # two spike tensors may be one value
                counter = self.add(name, value, Sparsity(name, self.rates[name], binary=False))
                yield value, counter
            named.append(counter)
        self.all = named + [counter for counter in self.all if counter not in named]

    def counted_as(self, value: Value, product: Product | ConvolutionProduct) -> str | None:
        """The name of the counter of a product's inputs, if they are counted, be it before they were rearranged."""
        if value in self.counted:
            return self.counted[value].name
        sparsity = product.sparsity
        whole = sparsity is not None and sparsity.whole and sparsity.source in self.spikes
        return sparsity.source if sparsity is not None and whole else self._spike_name(value)

    def add_list(self, value: Value, batch: int, sparsity: Sparsity, reader: str) -> Counter:
        """A new counter of what `reader` reads of `value` in `batch` rows."""
        return self.add(self._name_of(value, batch, sparsity, reader), value, sparsity)

    def add(self, name: str, value: Value, sparsity: Sparsity) -> Counter:
        """A new counter for `value`, under a name that no other counter has; it counts what `value` is all of, too."""
        size = value.nbytes // np.dtype(value.dtype).itemsize
        taken = {counter.name for counter in self.all}
        numbered = (f"{name} {number}" for number in count(2))
        unique = next(item for item in chain((name,), numbered) if item not in taken)
        counter = Counter(unique, size, sparsity.rate, Value(f"counter.{unique}", (1,), "int64", "computed"))
        self.all.append(counter)
        self.counted.setdefault(value, counter)
        if sparsity.whole and sparsity.source in self.spikes:
            self.counted.setdefault(self.spikes[sparsity.source], counter)
        return counter

    def _spike_name(self, value: Value) -> str | None:
        """The name of the spike tensor that `value` is, if it is one."""
        return next((name for name, spikes in self.spikes.items() if spikes is value), None)

    def _name_of(self, value: Value, batch: int, sparsity: Sparsity, reader: str) -> str:
        """What a list counts: a spike tensor, an input, a state, or what a matrix reads of one of them."""
        if value in self.counted:
            return f"{self.counted[value].name} in {batch} rows"
        source, spikes = sparsity.source, self.spikes.get(sparsity.source)
        whole = sparsity.whole and (spikes is None or spikes not in self.counted)
        names = {"state": f"state.{value.name}", "input": value.name}
        return self._spike_name(value) or names.get(value.kind) or (source if whole else f"{source} into {reader}")
