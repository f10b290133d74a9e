"""What is demanded of a random network: PyTorch, ONNX Runtime and the compiled step are one function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import astroedge
from astroedge.runtimes import load
from astroedge.runtimes.checking.parity import compare_forced
from astroedge.runtimes.checking.reference import ObservedReference
from astroedge.step.graph import StepGraph
from tests.conformance.network_description import Net
from tests.conformance.neuron_equations import GRADED, Threshold
from tests.conformance.random_model import FlatStates, build_model
from tests.support.builds import assert_same_run, build

TICKS = 200
TRIAL_TICKS, TRIALS = 40, 6
LEAST_RATE, HIGHEST_RATE = 0.01, 0.6
Array = NDArray[Any]


@dataclass
class Run:
    """A model run by PyTorch: outputs `(T, …)` in order, the last states by name, firing rates, and ties counted."""

    outputs: list[Array]
    states: dict[str, Array]
    rates: dict[int, float]
    overall: float
    ties: int


def random_ticks(net: Net, ticks: int) -> Array:
    """Inputs on the grid; element 0 of each stream is 0 or 1."""
    rng = np.random.default_rng(net.seed)
    shape = (ticks, *build_model(net).input_shape())
    if net.input == "tokens":
        return rng.integers(0, net.width, shape)
    if net.input == "numbers":
        x = (rng.integers(-64, 65, shape) / 64).astype(np.float32)
        x[..., 0] = x[..., 0] > 0
        return x
    return (rng.random(shape) < 0.3).astype(np.float32)


def run_in_torch(net: Net, x: Array) -> Run:
    """Step a fresh model of `net` as its user does."""
    model = build_model(net)
    watch = _Watch(model)
    states = model.start() or ()
    collected: list[list[Array]] = []
    with torch.no_grad():
        for tick in x:
            result = model(torch.from_numpy(tick.copy()), *states)
            results = list(result) if isinstance(result, tuple) else [result]
            states = tuple(results[len(net.outputs) :])
            collected.append([tensor.numpy().copy() for tensor in results[: len(net.outputs)]])
    rates = {index: float(np.mean(seen)) for index, seen in watch.rates.items()}
    sizes = {index: model.populations[index].memory.shapes["v"] for index in rates}
    weights = [float(np.prod(sizes[index])) for index in rates]
    return Run(
        outputs=[np.stack(arrays) for arrays in zip(*collected, strict=True)],
        states=_named_states(model, states),
        rates=rates,
        overall=float(np.average(list(rates.values()), weights=weights)),
        ties=watch.ties,
    )


class _Watch:
    """Counts spikes and ties while a model runs."""

    def __init__(self, model: FlatStates) -> None:
        self.ties = 0
        self.rates: dict[int, list[float]] = {}
        for index, one in enumerate(model.populations):
            if one.population.cell in GRADED:
                continue
            self.rates[index] = []
            one.cell.register_forward_hook(self._count_spikes(index))
            for module in one.cell.modules():
                if isinstance(module, Threshold):
                    module.register_forward_hook(self._count_ties)

    def _count_spikes(self, index: int) -> Any:
        def count(module: nn.Module, given: Any, result: tuple[Tensor, Any]) -> None:
            self.rates[index].append(result[0].mean().item())

        return count

    def _count_ties(self, module: nn.Module, given: tuple[Tensor, Tensor], result: Tensor) -> None:
        self.ties += int((given[0] == given[1]).sum())


def _named_states(model: FlatStates, explicit: tuple[Any, ...]) -> dict[str, Array]:
    """Every state by the name that export gives it."""
    names = {
        f"{path}.{name}": keeper.read()[key]
        for path, keeper in model.keepers()
        if path not in model.explicit
        for key, name in keeper.names().items()
    }
    return {name: tensor.numpy().copy() for name, tensor in (names | _leaves(explicit)).items()}


def _leaves(states: Any) -> dict[str, Tensor]:
    """The tensors of explicit states; a single argument adds nothing to their names."""
    if len(states) == 1 and not isinstance(states[0], Tensor):
        tree = states[0]
        parts = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return {
            f"{path}.{key}": tensor
            for path, inner in parts
            for key, tensor in (inner.items() if isinstance(inner, dict) else enumerate(inner))
        }
    return {str(position): tensor for position, tensor in enumerate(states)}


def tuned(net: Net) -> Net:
    """`net` with thresholds doubled or halved until its populations fire between 2 % and 50 %, as far as they can."""
    x = random_ticks(net, TRIAL_TICKS)
    for _ in range(TRIALS):
        rates = run_in_torch(net, x).rates
        factors = {index: 2.0 if rate > 0.5 else 0.5 for index, rate in rates.items() if not 0.02 <= rate <= 0.5}
        if not factors:
            break
        populations = [
            replace(one, threshold=min(max(one.threshold * factors.get(index, 1.0), 0.0625), 16.0))
            for index, one in enumerate(net.populations)
        ]
        net = replace(net, populations=tuple(populations))
    return net


def exported(net: Net, x: Array) -> StepGraph:
    """The model of `net` as a step graph, with `x` for examples."""
    model = build_model(net)
    ticks = [(torch.from_numpy(tick.copy()),) for tick in x]
    return astroedge.export(model, ticks[0], model.start(), examples=ticks)


def check_network(net: Net, kernels: str = "auto") -> Run:
    """Demand that PyTorch, ONNX Runtime and the compiled step agree on `net` over 200 ticks; returns PyTorch's run.

    Exact networks run free and agree in every bit of all outputs and states; others by the forced rule.
    """
    x = random_ticks(net, TICKS)
    run = run_in_torch(net, x)
    assert LEAST_RATE <= run.overall <= HIGHEST_RATE, f"fires at {run.overall:.1%}: {run.rates}"
    graph = exported(net, x)
    inputs = {graph.spec.inputs[0].name: x}
    if net.exact:
        assert run.ties > 0, "no membrane met its threshold exactly"
        _check_bits(graph, inputs, run, kernels)
    else:
        _check_forced(graph, inputs, kernels)
    return run


def _check_bits(graph: StepGraph, inputs: Mapping[str, Array], run: Run, kernels: str) -> None:
    """All outputs of every tick and the last states are PyTorch's, in ONNX Runtime and compiled."""
    with load(build(graph, kernels=kernels)) as session:
        given = assert_same_run(graph, session, inputs)
        _demand_equal([item.name for item in graph.spec.outputs], given, run.outputs)
        missing = dict(run.states)
        for state in graph.spec.states:
            np.testing.assert_array_equal(session.states[state.name], missing.pop(state.name), err_msg=state.name)
        for name, value in missing.items():  # merged with another, or read by nobody, which export says
            twin = any(np.array_equal(value, session.states[state.name]) for state in graph.spec.states)
            assert twin or any(repr(name) in note for note in graph.notes), f"state {name!r} is missing"


def _demand_equal(names: list[str], given: Mapping[str, Array], wanted: list[Array]) -> None:
    """Bit for bit, but that −0 equals 0; no NaN."""
    for name, value in zip(names, wanted, strict=True):
        assert np.isfinite(value).all(), name
        assert given[name].dtype == value.dtype, name
        np.testing.assert_array_equal(given[name], value, err_msg=name)


def _check_forced(graph: StepGraph, inputs: Mapping[str, Array], kernels: str) -> None:
    """The graph agreed with PyTorch when it was exported; the compiled step agrees with the graph."""
    assert graph.parity is not None
    assert graph.parity.ticks == TICKS
    with load(build(graph, kernels=kernels, probes=True)) as session:
        report = compare_forced(ObservedReference(graph), session, inputs, TICKS)
    assert report.ok, report.text()
