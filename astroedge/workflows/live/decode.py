"""What live outputs are said to mean: every value, or the class that wins in a window of ticks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from astroedge.errors import InputError
from astroedge.readout import Readout, chosen_class
from astroedge.session import Array
from astroedge.step.assets import check_labels
from astroedge.step.spec import TensorSpec
from astroedge.workflows.inputs.array_files import column_names, csv_line, csv_values


class Decoder:
    """Lines of CSV for the ticks of a step.

    Without `kind` a line has all outputs. With it the first output is a row of scores, and each `window` of ticks has
    one line, and what is left at the end one more: the tick, the class, and its name where `labels` has one. The class
    has the highest mean ("rate"), or is the first to fire ("first-spike"); for "argmax", the highest score, a window is
    one tick.

    Raises InputError for an output that is no row of scores, and for another number of labels.
    """

    def __init__(
        self, kind: str | None, outputs: Sequence[TensorSpec], window: int, labels: Sequence[str] = ()
    ) -> None:
        self._kind, self._outputs, self._labels = kind, outputs, labels
        self._window = 1 if kind in (None, "argmax") else window
        self._readout: Readout | None = None
        self._tick = 0
        if kind is None:
            return
        scores = outputs[0]
        if max(scores.shape, default=1) != scores.size or scores.size < 2:
            raise InputError(
                f"--decode takes the class from a row of scores, and the first output {scores.name!r} has shape "
                f"{list(scores.shape)}."
            )
        if labels:
            check_labels([*labels], scores)

    def header(self) -> str:
        """The first line."""
        if self._kind is None:
            return csv_line(column_names(self._outputs))
        return csv_line(["tick", "class", *(["label"] if self._labels else [])])

    def lines(self, tick: int, outputs: dict[str, Array]) -> Iterator[str]:
        """What a tick has to say, counted from 0: one line or none."""
        if self._kind is None:
            yield csv_line(csv_values(outputs, self._outputs))
            return
        if self._readout is None:
            self._readout = Readout("last" if self._kind == "argmax" else self._kind)
        self._readout.add(np.asarray(outputs[self._outputs[0].name])[None])
        self._tick = tick
        if self._readout.ticks == self._window:
            yield from self.rest()

    def rest(self) -> Iterator[str]:
        """What the ticks since the last whole window have to say: one line, or none where there were none."""
        if self._readout is None:
            return
        found = chosen_class(self._readout.kind, self._readout.result(), self._readout.ticks)
        self._readout = None
        label = [self._labels[found] if found >= 0 else ""] if self._labels else []
        yield csv_line([self._tick, found, *label])
