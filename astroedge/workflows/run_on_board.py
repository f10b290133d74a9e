"""Running a step over data on a board: the arrays go there, the outputs come back."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from astroedge.session import Array
from astroedge.step.spec import StepSpec
from astroedge.workflows.board_work import BoardWork
from astroedge.workflows.devices.address import Address
from astroedge.workflows.inputs.array_files import encode_arrays
from astroedge.workflows.inputs.fit_arrays import Fit
from astroedge.workflows.on_boards import Say, on_boards
from astroedge.workflows.run_step import Presenting, count_presentations, encode_presentations, read_rows

WIDEST = 8  # bytes of a number; readouts are float64 whatever the outputs are
HEADERS = 1 << 20  # bytes of a NumPy file beside its numbers, at most


def run_on_board(
    net: str | os.PathLike[str],
    address: Address,
    source: str | os.PathLike[str],
    suffix: str,
    *,
    ticks: int | None = None,
    readout: str = "sum",
    fit: Fit | None = None,
    threads: int | None = None,
    install: bool = False,
    say: Say = lambda address, line: None,
    tell: Callable[[str], None] = lambda line: None,
) -> bytes:
    """Outputs of a step graph or a bundle on a board, as a file of this suffix; `astroedge run` says what it holds.

    `tell` is called with what presentations came to, where the classes have names.

    Raises what `on_boards` raises, the board's error, and InputError for data that the step does not take.
    """

    def run(work: BoardWork) -> bytes:
        spec = work.manifest.step
        inputs = read_rows(spec, source, fit)
        if ticks is None:
            results = work.run({"threads": threads}, inputs, most_bytes(spec, inputs))
            return encode_arrays(suffix, results, spec.outputs)
        count_presentations(inputs, source, readout)
        request = {"threads": threads, "ticks": ticks, "readout": readout}
        results = work.run(request, inputs, most_bytes(spec, inputs))
        return encode_presentations(spec, results, suffix, Presenting(ticks, readout, work.bundle.labels, tell))

    found = on_boards(net, [address], run, install=install, say=say)
    found.raise_failures()
    return found.done[0].result


def most_bytes(spec: StepSpec, inputs: Mapping[str, Array]) -> int:
    """What outputs for all rows can take."""
    elements = {item.name: item.size for item in spec.inputs}
    rows = max((array.size // max(1, elements.get(name, 1)) for name, array in inputs.items()), default=0)
    return rows * sum(item.size for item in spec.outputs) * WIDEST + HEADERS
