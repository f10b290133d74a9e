"""Verify that a bundle does what its golden trace, and on a host its step graph, says.

The golden trace needs NumPy only and runs on the device. The comparison with the graph needs onnx and onnxruntime.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import Manifest
from astroedge.errors import VerificationError
from astroedge.parity import Allowance
from astroedge.runtimes import load
from astroedge.runtimes.checking.golden import Replay, draw_inputs, replay
from astroedge.runtimes.checking.parity_report import ForcedReport, FreeReport
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.session import Array

if TYPE_CHECKING:
    from astroedge.step.graph import StepGraph

VERIFICATION_FORMAT = "astroedge-verify"
VERIFICATION_VERSION = 1
DRAWN_STEPS = 1000
BLOCK = 256  # ticks compared at a time between a bundle and its probe build


@dataclass(frozen=True)
class VerifyReport:
    """What was found about one bundle; `forced` and `free` are None when it was not compared with a graph."""

    model: str
    target: str
    golden: Replay
    forced: ForcedReport | None = None
    free: FreeReport | None = None

    @property
    def ok(self) -> bool:
        """The golden trace agrees, and so does the forced comparison if there was one; free runs have no bound."""
        return self.golden.agrees and (self.forced is None or self.forced.ok)

    def text(self) -> str:
        """One paragraph."""
        parts = [_golden_text(self.golden), *(item.text() for item in (self.forced, self.free) if item is not None)]
        verdict = "agrees with all it was compared with" if self.ok else "does NOT do what it should"
        verdict = verdict if self.golden.expected else "is not proven"
        return f"{self.model} for {self.target} {verdict}: {' '.join(parts)}"

    def to_json(self) -> dict[str, Any]:
        """The JSON form, versioned, as `schemas/verify.schema.json` describes it."""
        return {
            "format": VERIFICATION_FORMAT,
            "version": VERIFICATION_VERSION,
            "ok": self.ok,
            "model": self.model,
            "target": self.target,
            "golden": {"ok": self.golden.agrees, **asdict(self.golden)},
            "forced": None if self.forced is None else self.forced.to_json(),
            "free": None if self.free is None else self.free.to_json(),
        }


def verify(
    bundle: CompiledSession | Bundle | str | os.PathLike[str],
    graph: StepGraph | None = None,
    *,
    steps: int | None = None,
    inputs: Mapping[str, Array] | None = None,
    probe: CompiledSession | None = None,
    allowance: Allowance | None = None,
) -> VerifyReport:
    """Replay the bundle's golden trace, and with `graph` compare it with ONNX Runtime, forced and free.

    The graph of a bundle with quantised weights is the one with dequantised weights. `inputs` are arrays `(T, …)` by
    name, drawn like the golden trace's when None; `steps` is how many ticks of them are compared, all of the given ones
    or 1000 drawn ones when None. Spikes are compared through `probe`, a session of the same graph's probe build, or
    through the bundle if it is one itself. `allowance` says what counts as rounding, by default what did when the
    bundle was compiled. A session's own stream goes on afterwards as if nothing had happened; `probe` is left reset.

    The report says whether all agreed (`ok`). Raises VerificationError when the bundle or the probe build was not
    compiled from `graph`, or when the probe build is not the same computation as the bundle; InputError for inputs the
    step does not take or too few of them.
    """
    if not isinstance(bundle, CompiledSession):
        with load(bundle) as session:
            return verify(session, graph, steps=steps, inputs=inputs, probe=probe, allowance=allowance)
    manifest = bundle.manifest
    golden = replay(bundle)
    if graph is None:
        return VerifyReport(manifest.model, manifest.target.name, golden)
    _refuse_other_weights(manifest, graph)
    steps, given = choose_inputs(manifest, steps, inputs)
    saved = bundle.snapshot()
    try:
        if probe is not None:
            _refuse_other_weights(probe.manifest, graph)
            _check_probe(bundle, probe, given, steps)
        forced, free = _compare(graph, probe or bundle, given, steps, allowance or accepted(manifest))
    finally:
        bundle.restore(saved)
    return VerifyReport(manifest.model, manifest.target.name, golden, forced, free)


def refuse_other_graph(manifest: Manifest, graph: StepGraph) -> None:
    """Raise VerificationError unless the bundle was compiled from this graph, or from the one that this dequantises."""
    if graph.digest not in (manifest.graph_sha256, manifest.reference_sha256):
        raise VerificationError(
            f"The bundle was compiled from another graph (SHA-256 {manifest.graph_sha256[:12]}…, this one has "
            f"{graph.digest[:12]}…): a model exported again is another graph, and where compile was killed the one "
            "beside a bundle can be an older bundle's. Give the one it was compiled from, or compile again."
        )


def _refuse_other_weights(manifest: Manifest, graph: StepGraph) -> None:
    """Raise VerificationError unless the graph's weights are those the bundle stores."""
    refuse_other_graph(manifest, graph)
    if graph.digest != manifest.reference_sha256:
        raise VerificationError(
            f"The bundle stores its weights as {manifest.precision} and this graph has them as they were before; "
            "compare it with the dequantised graph, which compile wrote beside the bundle (.dequantised.onnx)."
        )


def choose_inputs(
    manifest: Manifest, steps: int | None, inputs: Mapping[str, Array] | None
) -> tuple[int, Mapping[str, Array]]:
    """How many ticks, and the data for them."""
    if inputs is not None:
        lengths = [array.shape[0] for array in inputs.values() if array.ndim]
        return (min(lengths, default=DRAWN_STEPS) if steps is None else steps), inputs
    steps = DRAWN_STEPS if steps is None else steps
    return steps, draw_inputs(manifest.layout.inputs, manifest.golden.seed, 0, steps)


def accepted(manifest: Manifest, tolerance: float | None = None, allow_flips: int | None = None) -> Allowance:
    """What counts as rounding: as the caller says, else as it was when the bundle was compiled."""
    record = manifest.golden.parity
    if allow_flips is None and "allow_flips" in record:
        allow_flips = int(record["allow_flips"])
    tolerance = record.get("tolerance") if tolerance is None else tolerance
    return Allowance.of(allow_flips, tolerance, None)


def _compare(
    graph: StepGraph, session: CompiledSession, inputs: Mapping[str, Array], steps: int, allowance: Allowance
) -> tuple[ForcedReport, FreeReport]:
    """Forced and free comparison with ONNX Runtime."""
    from astroedge.runtimes.checking.parity import compare_forced, compare_free
    from astroedge.runtimes.checking.reference import ObservedReference
    from astroedge.runtimes.checking.special_inputs import special_inputs

    reference, manifest = ObservedReference(graph), session.manifest
    special = special_inputs(manifest.layout.inputs, graph, manifest.kernels)
    forced = compare_forced(reference, session, inputs, steps, allowance=allowance, special=special)
    return forced, compare_free(reference, session, inputs, steps)


def _check_probe(bundle: CompiledSession, probe: CompiledSession, inputs: Mapping[str, Array], steps: int) -> None:
    """Run both natively and raise VerificationError unless every common output and the states are the same bits."""
    bundle.reset()
    probe.reset()
    for first in range(0, steps, BLOCK):
        ticks = min(BLOCK, steps - first)
        block = {name: array[first : first + ticks] for name, array in inputs.items()}
        count = None if block else ticks
        ours, theirs = bundle.run(steps=count, **block), probe.run(steps=count, **block)
        same = all(ours[name].tobytes() == theirs[name].tobytes() for name in ours)
        if not same or not np.array_equal(bundle.state, probe.state):
            raise VerificationError(
                f"The probe build and the bundle part between ticks {first} and {first + ticks - 1}, so the probes say "
                "nothing about the bundle; compile both with the same AstroEdge, target, math and kernels."
            )


def _golden_text(golden: Replay) -> str:
    """One sentence on the golden trace."""
    if not golden.expected:
        return "it has no golden trace, so nothing proves its bits."
    difference = golden.first_difference
    if difference is None:
        ticks = ", ".join(str(item.tick) for item in golden.expected)
        return f"golden trace equal at ticks {ticks}."
    expected = next(item for item in golden.expected if item.tick == difference.tick)
    parts = [part for part in ("state", "outputs") if getattr(expected, part) != getattr(difference, part)]
    where = f"golden trace differs at tick {difference.tick} ({' and '.join(parts)})"
    return f"{where}; this processor computes other bits, or the bundle was made by a faulty compiler."
