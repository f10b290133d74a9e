"""Profiles and verification of one network on several boards."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from astroedge.step_profile import Profile
from astroedge.workflows.board_work import BoardWork, Proof
from astroedge.workflows.devices.address import Address
from astroedge.workflows.inputs.array_files import read_arrays
from astroedge.workflows.inputs.fit_arrays import Fit
from astroedge.workflows.on_boards import OnBoard, Outcomes, Say, on_boards

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
    python_for: str = "",
    install: bool = False,
    keep: bool = False,
    say: Say = lambda address, line: None,
) -> Outcomes[tuple[Measured, ...]]:
    """Measure a step graph or a bundle on boards: by Python and NumPy where they are, and by the executable.

    `options` are those of `astroedge.profile`, `inputs` a file of arrays, which `fit` makes fit. With `raster` Python
    also notes which neurons fire; the rest is as in `on_boards`.

    Raises what `on_boards` raises; InputError for the file is the error of each board.
    """

    def measure(work: BoardWork) -> tuple[Measured, ...]:
        arrays = None if inputs is None else read_arrays(inputs, work.manifest.step.inputs, fit)
        return tuple(Measured(*found) for found in work.profiles(options, arrays, threads, raster))

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


def _named(item: OnBoard[tuple[Measured, ...]]) -> tuple[Measured, ...]:
    """The profiles with the board's address in them, and its own name where its Linux shows none."""
    named = []
    for found in item.result:
        machine = {**found.profile.machine, "device": item.address.text}
        if machine.get("board", "unknown") == "unknown":
            machine["board"] = item.board.name
        named.append(replace(found, profile=replace(found.profile, machine=machine)))
    return tuple(named)
