"""How well bundles answer on a board: it computes the outputs of all sequences, and they are scored here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from astroedge.bundle.container import Bundle
from astroedge.session import Array
from astroedge.step.spec import StepSpec
from astroedge.workflows.board_builds import Build, given_bundle
from astroedge.workflows.board_work import BoardWork
from astroedge.workflows.devices.address import Address
from astroedge.workflows.devices.many_boards import ManyBoards
from astroedge.workflows.evaluation.evaluate import Evaluation, evaluate
from astroedge.workflows.evaluation.labelled_data import LabelledData
from astroedge.workflows.on_boards import Say
from astroedge.workflows.run_on_board import most_bytes


class RecordedStream:
    """The first output of every sequence, computed already: a reset goes to the next, a run to its next ticks."""

    def __init__(self, spec: StepSpec, outputs: Array) -> None:
        self.spec = spec
        self._outputs = outputs
        self._sequence, self._tick = -1, 0

    def reset(self) -> None:
        """Go to the next sequence."""
        self._sequence, self._tick = self._sequence + 1, 0

    def run(self, /, **inputs: Array) -> dict[str, Array]:
        """As many ticks as the inputs have."""
        first, self._tick = self._tick, self._tick + len(next(iter(inputs.values())))
        return {self.spec.outputs[0].name: self._outputs[self._sequence, first : self._tick]}


def evaluate_on_board(
    bundles: Sequence[str | os.PathLike[str]],
    data: str | os.PathLike[str],
    labels: str | os.PathLike[str] | None,
    address: Address,
    *,
    install: bool = False,
    say: Say = lambda address, line: None,
    **options: Any,
) -> Evaluation:
    """What `evaluate` finds of bundles that a board runs; `options` are its others.

    Raises what `evaluate` raises, and the board's error.
    """
    with ManyBoards([address], say) as boards:
        _raise(boards)

        def outputs_of(path: str | os.PathLike[str], read: LabelledData) -> RecordedStream:
            board = boards.boards[address]
            build = Build(given_bundle(path, board, address), lack="eval needs Python there.")
            work = BoardWork(boards.connections[address], board, build, lambda line: say(address, line))
            work.prepare(install=install)
            spec = Bundle.load(path).manifest.step
            name = spec.outputs[0].name
            results = work.run({"sequences": name}, read.inputs, most_bytes(spec, read.inputs))
            return RecordedStream(spec, results[name])

        found = evaluate(bundles, data, labels, elsewhere=outputs_of, **options)
        say(address, "done")
        return found


def _raise(boards: ManyBoards) -> None:
    for error in boards.failures.values():
        raise error
