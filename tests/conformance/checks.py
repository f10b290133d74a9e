"""The checks of a conformance case; each returns what it saw in a few words and raises ConformanceError otherwise.

- `check_wrapper`: the model with its state made explicit is the model, bit for bit, from a cold start;
- `check_grid`: with weights on the grid PyTorch, ONNX Runtime and the compiled step, running free, have equal bits;
- `check_forced`: with drawn weights the compiled step follows ONNX Runtime by the forced rule;
  Neither reads spikes as if they were numbers: every matrix but those in `DENSE` knows the rate of what it reads;
- `check_machines`: the step compiled for several processors has equal bits;
- `check_transcription`: the compiled step equals the cell written out in NumPy with AstroEdge's exact functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn

from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import NO_SPIKES
from astroedge.exporters import export
from astroedge.exporters.state.find_state import find_hidden_state
from astroedge.exporters.step_call.signature import make_call
from astroedge.exporters.step_call.state_tree import leaves, rebuild
from astroedge.exporters.wrapping.default_states import with_own_states
from astroedge.exporters.wrapping.step_module import StepModule, run_step
from astroedge.runtimes import load
from astroedge.runtimes.checking.parity import compare_forced
from astroedge.runtimes.checking.reference import ObservedReference, ReferenceSession
from astroedge.step.graph import StepGraph
from tests.conformance.cases import Array, Case, Weights
from tests.support.builds import build
from tests.support.machines import Machine, run_hashes

WRAPPER_TICKS, GRID_TICKS, FORCED_TICKS, MACHINE_TICKS, TRANSCRIBED_TICKS = 200, 2_000, 1_000, 1_000, 200
EXAMPLE_TICKS = 50
GRID_EXPORT_TICKS = 20  # that export itself compares with PyTorch; `check_grid` does it over many more
LOWEST_RATE, HIGHEST_RATE = 0.01, 0.6
# The matrices that rightly read numbers, by cell: with drawn weights inputs are numbers, on the grid they are spikes.
DENSE = {
    "snnTorch SLSTM": ("linear.0", "*cells.*", "permute*"),  # membranes, and currents that an LSTM multiplies
    "SpikingJelly EIFNode": ("linear.0",),
    "SpikingJelly BatchNorm1d": ("stages.0.1", "stages.1.1"),  # normalised spikes
    "SpikingJelly SynapseFilter": ("stages.0.0", "stages.1.1"),  # currents of synapses
    "SpikingJelly Spikformer": ("view_*",),  # queries times keys times values, all of them computed
    "Norse LIFAdExCell": ("0",),
    "Norse LIFAdExRecurrentCell": ("0.input_weights",),
    "Norse LIFExCell": ("0",),
    **dict.fromkeys(
        ("PyTorch BatchNorm1d, BatchNorm2d", "PyTorch LayerNorm, RMSNorm", "PyTorch GroupNorm, InstanceNorm2d"), ("0",)
    ),
    "PyTorch GELU, SiLU, Softplus, Softmax": ("0", "2", "4", "8"),
    "AstroEdge EGRUNetwork": ("layers.0.W",),
    "AstroEdge SNUNetwork": ("layers.0.W*",),
    "AstroEdge SpikeGPT": ("blocks.*.W_*", "blocks.*.C_[rk]", "head"),  # normed sums of spikes
}


class ConformanceError(AssertionError):
    """A case does not behave as its framework does."""


def checks_of(case: Case) -> dict[str, Callable[[Case], object]]:
    """The checks that apply to a case on this machine alone, by name."""
    return {
        "wrapper": check_wrapper,
        **({"grid": check_grid} if case.exact else {}),
        **({} if case.exact and case.transcription is None else {"NumPy": check_transcription}),
        "forced": check_forced,
    }


def check_wrapper(case: Case) -> str:
    """Step the framework's model as its user does, and the wrapper that is traced, over 200 ticks."""
    inputs = torch.from_numpy(case.inputs(WRAPPER_TICKS, Weights.DRAWN))
    call = with_own_states(make_call(case.build(Weights.DRAWN), (inputs[0],), case.states))
    hidden = find_hidden_state(call, [(tick,) for tick in inputs[:EXAMPLE_TICKS]]).states
    module = StepModule(call, [state.hidden for state in hidden])
    states: Sequence[Tensor] = [*call.state_leaves, *(state.initial for state in hidden)]
    demand(bool(states), "no state was found")
    for tick, outputs in enumerate(run_as_user(case, case.build(Weights.DRAWN), inputs)):
        values = run_step(module, (inputs[tick],), states)
        found, states = values[: len(outputs)], values[len(outputs) :]
        for index, (ours, theirs) in enumerate(zip(found, outputs, strict=True)):
            demand(same_bits(ours.numpy(), theirs), f"tick {tick + 1}: output {index} of the wrapper differs")
    return f"{WRAPPER_TICKS} ticks"


def check_grid(case: Case, most: int = GRID_TICKS) -> str:
    """Run PyTorch, ONNX Runtime and the compiled step free over 2,000 ticks; every layer fires, some on ties.

    `most` ticks, here and below, where fewer will do.
    """
    graph = exported(case, Weights.GRID)
    inputs = case.inputs(min(most, case.ticks(GRID_TICKS)), Weights.GRID)
    model = case.build(Weights.GRID)
    expected = [np.stack(ticks) for ticks in zip(*run_as_user(case, model, torch.from_numpy(inputs)), strict=True)]
    given = {graph.spec.inputs[0].name: inputs}
    outputs = [item.name for item in graph.spec.outputs]
    reference = ReferenceSession(graph)
    in_runtime = reference.run(**given)
    with load(probed(case, Weights.GRID)) as session:
        compiled = session.run(**given)
        for name, wanted in zip(outputs, expected, strict=True):
            demand_equal(in_runtime[name], wanted, f"{name!r} of ONNX Runtime and PyTorch")
            demand_equal(compiled[name], wanted, f"{name!r} of the compiled step and PyTorch")
        for name, state in reference.states.items():
            demand(same_bits(session.states[name], state), f"state {name!r} of the compiled step and ONNX Runtime part")
    spikes = [spike.name for spike in graph.spec.spikes]
    _demand_rates(case, {name: float(np.mean(compiled[f"spike.{name}"] != 0)) for name in spikes})
    _demand_skipped_zeros(case, Weights.GRID)
    margins = [compiled[f"margin.{name}"] for name in spikes if f"margin.{name}" in compiled]
    ties = sum(int(np.count_nonzero(margin == 0)) for margin in margins)
    demand(ties > 0 or not case.ties, "no neuron was ever exactly at its threshold")
    return f"{len(inputs):,} ticks" + (f", {ties:,} ties" if case.ties else "")


def check_forced(case: Case, most: int = FORCED_TICKS) -> tuple[str, list[float]]:
    """Compare the compiled step with ONNX Runtime over 1,000 ticks by the forced rule; also returns firing rates."""
    graph = exported(case, Weights.DRAWN)
    ticks = min(most, case.ticks(FORCED_TICKS))
    given = {graph.spec.inputs[0].name: case.inputs(ticks, Weights.DRAWN)}
    with load(probed(case, Weights.DRAWN)) as session:
        report = compare_forced(ObservedReference(graph), session, given, ticks)
    demand(report.ok, report.text())
    rates = _demand_rates(case, {item.name: item.session_rate for item in report.spikes})
    if not case.exact:
        _demand_skipped_zeros(case, Weights.DRAWN)
    return f"{report.worst_share:.0%} of the tolerance, {report.spikes_flipped} flips", rates


def check_machines(case: Case, machines: Iterable[Machine], most: int = MACHINE_TICKS) -> str:
    """Run the step compiled for each machine over 1,000 ticks of drawn inputs, and compare hashes of all its state."""
    graph = exported(case, Weights.DRAWN)
    hashes = {}
    with TemporaryDirectory() as folder:
        for machine in machines:
            place = Path(folder) / f"{machine.target}.astro"
            bundle, ticks = build(graph, machine.target), min(most, case.ticks(MACHINE_TICKS))
            hashes[machine.target] = run_hashes(bundle, machine, ticks, place)
    first, *others = hashes
    for other in others:
        demand(hashes[other] == hashes[first], f"{other} and {first} part: {hashes[other]} and {hashes[first]}")
    return f"{len(hashes)} processors"


def check_transcription(case: Case) -> str:
    """Run the compiled step beside the cell written out in NumPy over 200 ticks, an exact one on the grid too."""
    demand(case.transcription is not None, "the cell is not exact and has no transcription")
    for weights in (Weights.DRAWN, Weights.GRID) if case.exact else (Weights.DRAWN,):
        _demand_transcribed(case, weights)
    return f"{TRANSCRIBED_TICKS} ticks"


def _demand_transcribed(case: Case, weights: Weights) -> None:
    assert case.transcription is not None
    graph = exported(case, weights)
    inputs = case.inputs(TRANSCRIBED_TICKS, weights)
    tick = case.transcription(case.build(weights))
    with np.errstate(all="ignore"):
        expected = [np.stack(ticks) for ticks in zip(*map(tick, inputs), strict=True)]
    with load(probed(case, weights)) as session:
        compiled = session.run(**{graph.spec.inputs[0].name: inputs})
        reached = [session.states[state.name].copy() for state in graph.spec.states]
    given = len(graph.spec.outputs)
    outputs, states = expected[:given], expected[given:]
    for item, wanted in zip(graph.spec.outputs, outputs, strict=True):
        demand_equal(compiled[item.name], wanted, f"{item.name!r} of the compiled step and of NumPy")
    for state, found, wanted in zip(graph.spec.states, reached, states, strict=True) if states else ():
        demand(same_bits(found, wanted[-1]), f"{state.name!r} of the compiled step is not NumPy's in the last tick")


@cache
def exported(case: Case, weights: Weights) -> StepGraph:
    """The case's step graph, exported as its user would."""
    examples = torch.from_numpy(case.inputs(EXAMPLE_TICKS, weights, seed=2))
    ticks = GRID_EXPORT_TICKS if weights is Weights.GRID else None
    given = [(tick,) for tick in examples]
    return export(case.build(weights), given[0], case.states, examples=given, check_ticks=ticks)


@cache
def probed(case: Case, weights: Weights) -> Bundle:
    """The case's step compiled for this machine, with its spikes and margins as outputs."""
    return build(exported(case, weights), probes=True)


def run_as_user(case: Case, model: nn.Module, inputs: Tensor) -> Iterator[tuple[Array, ...]]:
    """Step a framework's model the way its documentation does: the outputs of every tick."""
    given = case.states or ()
    carried: tuple[object, ...] = rebuild(given, [tensor.clone() for _, tensor in leaves(given)])
    for x in inputs:
        with torch.no_grad():
            result = model(x.clone(), *carried)
        if isinstance(model, nn.RNNCellBase):
            carried = (result,)
        elif case.starts_itself:
            result, state = result
            carried = (state,)
        elif case.states is not None:
            result, carried = result[: -len(case.states)], result[-len(case.states) :]
        yield tuple(tensor.detach().numpy().copy() for _, tensor in leaves(result))


def demand(condition: bool, message: str) -> None:
    """Raise ConformanceError with the message unless the condition holds."""
    if not condition:
        raise ConformanceError(message)


def demand_equal(ours: Array, theirs: Array, what: str) -> None:
    """Raise ConformanceError that names the first tick and element at which two runs `(ticks, …)` differ, if any."""
    demand(ours.shape == theirs.shape, f"{what} have shapes {ours.shape} and {theirs.shape}")
    demand(ours.dtype == theirs.dtype, f"{what} are {ours.dtype} and {theirs.dtype}")
    if not same_bits(ours, theirs):
        tick, *element = np.argwhere(_bits(ours) != _bits(theirs))[0].tolist()
        place = (tick, *element)
        raise ConformanceError(f"{what} part at tick {tick + 1}, element {element}: {ours[place]!r}, {theirs[place]!r}")


def same_bits(ours: Array, theirs: Array) -> bool:
    """Whether two arrays of one shape and dtype are equal bit for bit; +0 and -0 count as equal."""
    return bool(np.array_equal(_bits(ours), _bits(theirs)))


def _bits(values: Array) -> Array:
    if values.dtype != np.float32:
        return values
    return (values + np.float32(0)).view(np.int32)


def _demand_skipped_zeros(case: Case, weights: Weights) -> None:
    """Demand that no matrix of a spiking network reads spikes as if they were numbers."""
    allowed = DENSE.get(f"{case.framework} {case.cell}", ())
    matrices = probed(case, weights).manifest.matrices if case.fires else ()
    lost = [item.name for item in matrices if item.reason == NO_SPIKES or item.multiplies_zeros]
    wrong = [name for name in lost if not any(fnmatch(name, pattern) for pattern in allowed)]
    demand(not wrong, f"the zeros of what {', '.join(wrong)} reads were lost on the way from the neurons")


def _demand_rates(case: Case, rates: dict[str, float]) -> list[float]:
    """Demand that nothing fires too often, and each membrane often enough; returns the rate of every membrane.

    Of several comparisons of one membrane some may be silent: after a reset at once, the one that begins the next tick.
    """
    demand(bool(rates) or not case.fires, "the graph has no spike tensor")
    highest: dict[str, float] = {}
    for name, rate in rates.items():
        demand(rate <= HIGHEST_RATE, f"{name!r} fires at {rate:.1%}, above {HIGHEST_RATE:.0%}")
        membrane = re.sub(r"_\d+$", "", name)
        highest[membrane] = max(rate, highest.get(membrane, 0.0))
    for membrane, rate in highest.items():
        demand(rate >= LOWEST_RATE, f"{membrane!r} fires at {rate:.1%}, below {LOWEST_RATE:.0%}")
    return list(highest.values())
