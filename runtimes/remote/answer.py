"""What a host asks of a board's Python, and what it gets.

A request is JSON: `bundle`, the path of a folder, `threads`, and one of `do`: "profile" with the `options` of
`astroedge.profile`, perhaps a `raster` and the path of a graph to `compare` with, "verify", or "run", which with
`ticks` and `readout` shows each row of the inputs so long, and with `sequences`, the name of an output, starts each row
anew and gives that output alone; or "generate", which continues the array `prompt` by tokens, as `count`, `sampling`,
`ends` and `vocabulary` say (`runtimes/generation`), into the array `tokens`. Inputs are arrays by name, as a NumPy
file; so are outputs. The trace of kernels, which a profile's JSON lacks, is beside it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from importlib.util import find_spec
from typing import Any

import numpy as np

from astroedge.errors import MissingDependencyError
from astroedge.measuring import Measuring
from astroedge.runtimes import load
from astroedge.runtimes.checking.golden import replay
from astroedge.runtimes.generation.generate import Wanted, continue_tokens
from astroedge.runtimes.generation.sampling import Sampling
from astroedge.runtimes.profiling.profiler import add_comparison, profile
from astroedge.runtimes.profiling.raster import profile_raster
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.session import Array

Answer = tuple[dict[str, Any], bytes]
"""A record for JSON, and a NumPy file or nothing."""


def answer(request: Mapping[str, Any], data: bytes) -> Answer:
    """Do what is asked for; `data` is a NumPy file of inputs, empty where there are none.

    Raises what loading, profiling and running a bundle raise.
    """
    bundle, threads = request["bundle"], request.get("threads")
    inputs = decode_arrays(data) if data else None
    if request["do"] == "profile":
        return _profile(bundle, inputs, threads, request), b""
    if request["do"] == "verify":
        return _verify(bundle, threads), b""
    with load(bundle, threads=threads) as session:
        work = _generate if request["do"] == "generate" else _run
        return {}, encode_arrays(work(session, inputs or {}, request))


def encode_arrays(arrays: Mapping[str, Array]) -> bytes:
    """Arrays by name as a NumPy file."""
    content = io.BytesIO()
    np.savez(content, **{f"a{index}": array for index, array in enumerate(arrays.values())}, names=[*arrays])  # type: ignore[arg-type]
    return content.getvalue()


def decode_arrays(content: bytes) -> dict[str, Array]:
    """What `encode_arrays` wrote; ValueError, KeyError, OSError or zipfile's error for anything else."""
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        return {str(name): stored[f"a{index}"] for index, name in enumerate(stored["names"])}


def _profile(
    bundle: str, inputs: Mapping[str, Array] | None, threads: int | None, request: Mapping[str, Any]
) -> dict[str, Any]:
    options = dict(request["options"])
    compare = request.get("compare")
    if compare is not None:
        refuse_missing(("onnx", "onnxruntime"))
    # Beside ONNX Runtime the paced ticks are those that take turns with its own.
    own = options if compare is None else {**options, "rate": None}
    found, graph = profile(bundle, inputs=inputs, threads=threads, **own), None
    if compare is not None:
        from astroedge.step.graph import StepGraph

        graph = StepGraph.load(compare)
        wanted = Measuring(**{item.name: options[item.name] for item in fields(Measuring) if item.name in options})
        with load(bundle, threads=found.threads) as session:
            found = add_comparison(found, session, graph, wanted, inputs)
    if request.get("raster"):
        with load(bundle, threads=found.threads) as session:
            found = replace(found, raster=profile_raster(session, inputs, graph))
    trace = None if found.kernels is None else found.kernels.trace
    traced = {} if trace is None else {"trace": asdict(trace)}
    return {"profile": found.to_json(), **traced, **_verify(bundle, found.threads)}


def refuse_missing(packages: Sequence[str]) -> None:
    """Raise MissingDependencyError for packages that a comparison needs and that are not installed here."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        names = " ".join(missing)
        raise MissingDependencyError(
            f"{names} is not installed there and --compare needs it: pip install {names} on the board, or leave "
            "--compare out."
        )


def _verify(bundle: str, threads: int | None) -> dict[str, Any]:
    with load(bundle, threads=threads) as session:
        return {"golden": [asdict(item) for item in replay(session).found]}


def _run(session: CompiledSession, inputs: Mapping[str, Array], request: Mapping[str, Any]) -> dict[str, Array]:
    """All ticks in one call, or row by row."""
    if request.get("ticks") is not None:
        ticks, readout = request["ticks"], request["readout"]
        return _stacked(
            session.present(ticks, readout=readout, **{name: array[row] for name, array in inputs.items()})
            for row in range(_rows(inputs))
        )
    if not request.get("sequences"):
        return session.run(**inputs)
    rows = []
    for row in range(_rows(inputs)):
        session.reset()
        found = session.run(**{name: array[row] for name, array in inputs.items()})
        rows.append({request["sequences"]: found[request["sequences"]]})
    return _stacked(rows)


def _generate(session: CompiledSession, inputs: Mapping[str, Array], request: Mapping[str, Any]) -> dict[str, Array]:
    """The tokens that follow a prompt."""
    wanted = Wanted(
        prompt=[int(token) for token in inputs["prompt"]],
        count=request["count"],
        sampling=Sampling(**request["sampling"]),
        ends=frozenset(request["ends"]),
        vocabulary=request["vocabulary"],
    )
    return {"tokens": np.array(list(continue_tokens(session, wanted)), np.int64)}


def _rows(inputs: Mapping[str, Array]) -> int:
    return min((len(array) for array in inputs.values()), default=0)


def _stacked(rows: Any) -> dict[str, Array]:
    every = list(rows)
    return {name: np.stack([row[name] for row in every]) for name in every[0]}
