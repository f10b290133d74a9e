"""Profiles and verification of one network on several boards."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from astroedge.errors import InputError
from astroedge.runtimes.checking.verify import refuse_other_graph
from astroedge.runtimes.profiling.doubts import doubt_energy
from astroedge.runtimes.profiling.energy import BUSY_SECONDS, as_reading
from astroedge.runtimes.profiling.meter import open_meter
from astroedge.runtimes.profiling.power_sources import PowerSource
from astroedge.session import Array
from astroedge.step_profile import Profile, Reading
from astroedge.workflows.board_work import BY_PYTHON, BoardWork, Proof
from astroedge.workflows.devices.address import Address
from astroedge.workflows.inputs.array_files import read_arrays
from astroedge.workflows.inputs.fit_arrays import Fit
from astroedge.workflows.on_boards import OnBoard, Outcomes, Say, on_boards

if TYPE_CHECKING:
    from astroedge.step.graph import StepGraph

VERIFICATION_FORMAT = "astroedge-board-verify"
VERIFICATION_VERSION = 1


@dataclass(frozen=True)
class Measured:
    """One measurement, and what the golden trace came to by the same program."""

    profile: Profile
    proof: Proof


def profile_on_boards(
    net: str | os.PathLike[str],
    addresses: Sequence[Address],
    *,
    options: Mapping[str, Any],
    inputs: str | os.PathLike[str] | None = None,
    fit: Fit | None = None,
    threads: int | None = None,
    raster: bool = False,
    meter: str | None = None,
    compare: str | os.PathLike[str] | None = None,
    python_for: str = "",
    install: bool = False,
    keep: bool = False,
    say: Say = lambda address, line: None,
) -> Outcomes[tuple[Measured, ...]]:
    """Measure a step graph or a bundle on boards: by Python and NumPy where they are, and by the executable.

    `options` are those of `astroedge.profile`, `inputs` a file of arrays, which `fit` makes fit. With `raster` Python
    also notes which neurons fire, and with a `meter` of this machine (`runtimes.profiling.meter`), which hangs on the
    one board there is, steps once more while it is read. `compare` is the graph that ONNX Runtime there is given beside
    the bundle. The rest is as in `on_boards`.

    Raises what `on_boards` raises, InputError and OSError for the meter, and GraphError for the graph; InputError for
    the file and VerificationError for another graph are the errors of each board.
    """
    graph = None if compare is None else _load_graph(compare)
    beside = None if graph is None else _bytes_of(graph)
    source = None if meter is None else open_meter(meter)

    def measure(work: BoardWork) -> tuple[Measured, ...]:
        arrays = None if inputs is None else read_arrays(inputs, work.manifest.step.inputs, fit)
        if graph is not None:
            refuse_other_graph(work.manifest, graph)
        measured = []
        for profile, proof in work.profiles(options, arrays, threads, raster, beside):
            metered = profile if source is None else _metered(work, profile, arrays, source, options.get("duration"))
            measured.append(Measured(metered, proof))
        return tuple(measured)

    try:
        found = on_boards(
            net,
            addresses,
            measure,
            programs=inputs is None,
            install=install,
            keep=keep,
            python_for=python_for,
            say=say,
        )
    finally:
        if source is not None:
            source.close()
    return replace(found, done=tuple(replace(item, result=_named(item)) for item in found.done))


def verify_on_boards(
    net: str | os.PathLike[str],
    addresses: Sequence[Address],
    *,
    threads: int | None = None,
    install: bool = False,
    say: Say = lambda address, line: None,
) -> Outcomes[tuple[Proof, ...]]:
    """Replay the golden trace on boards, by every program that each has; the rest is as in `on_boards`."""
    return on_boards(
        net,
        addresses,
        lambda work: tuple(work.proofs(threads)),
        install=install,
        say=say,
    )


def proofs_json(found: Outcomes[tuple[Proof, ...]]) -> dict[str, Any]:
    """The JSON form of a verification on boards, as `schemas/board-verify.schema.json` describes it."""
    boards = [
        {
            "device": item.address.text,
            "board": item.board.name,
            "target": item.build.bundle.manifest.target.name,
            **asdict(proof),
        }
        for item in found.done
        for proof in item.result
    ]
    right = not found.failures and all(proof.ok for item in found.done for proof in item.result)
    return {"format": VERIFICATION_FORMAT, "version": VERIFICATION_VERSION, "ok": right, "boards": boards}


def proofs_of(found: Outcomes[tuple[Measured, ...]]) -> Outcomes[tuple[Proof, ...]]:
    """What the golden traces came to beside the measurements."""
    done = [
        OnBoard(item.address, item.board, item.build, tuple(one.proof for one in item.result)) for item in found.done
    ]
    return Outcomes(tuple(done), found.failures)


def _load_graph(path: str | os.PathLike[str]) -> StepGraph:
    from astroedge.step.graph import StepGraph

    return StepGraph.load(path)


def _bytes_of(graph: StepGraph) -> bytes:
    from astroedge.step.onnx_file import whole_message

    return whole_message(graph.model)


def _metered(
    work: BoardWork,
    profile: Profile,
    inputs: Mapping[str, Array] | None,
    meter: PowerSource,
    duration: float | None,
) -> Profile:
    """The profile with the energy by the meter, where Python measured it; else with why there is none."""
    if profile.by != BY_PYTHON:
        return profile
    try:
        found = work.energy(meter, profile, inputs, max(BUSY_SECONDS, duration or 0.0))
    except (InputError, OSError) as error:  # what else was measured is worth keeping
        found = Reading.unavailable("energy per step", "J", str(error))
    energy = None if isinstance(found, Reading) else found
    reading = found if isinstance(found, Reading) else as_reading(found)
    return replace(
        profile,
        energy=energy,
        readings=tuple(reading if item.name == reading.name else item for item in profile.readings),
        warnings=(*profile.warnings, *([] if energy is None else doubt_energy(energy))),
    )


def _named(item: OnBoard[tuple[Measured, ...]]) -> tuple[Measured, ...]:
    """The profiles with the board's address in them, and its own name where its Linux shows none."""
    named = []
    for found in item.result:
        machine = {**found.profile.machine, "device": item.address.text}
        if machine.get("board", "unknown") == "unknown":
            machine["board"] = item.board.name
        named.append(replace(found, profile=replace(found.profile, machine=machine)))
    return tuple(named)
