"""Parity: rounding passes, anything else is caught and named with its tick, neuron and distance from threshold."""

from __future__ import annotations

import json

import numpy as np
import pytest

from astroedge.errors import InputError, VerificationError
from astroedge.runtimes.checking.parity import compare_forced, compare_free
from astroedge.runtimes.checking.parity_report import Difference, ForcedReport
from astroedge.runtimes.checking.reference import ObservedReference
from astroedge.step.graph import StepGraph
from tests.support.graphs import lif_layer, random_inputs, recurrent_net
from tests.support.numpy_lif import Array, Flaw, NumpyLif, keep, undecayed, uneven

TICKS = 150


def forced(flaw: Flaw = keep, probes: bool = True, graph: StepGraph | None = None) -> ForcedReport:
    """Compare a NumPy `recurrent_net` with ONNX Runtime by the forced rule."""
    graph = graph or recurrent_net()
    return compare_forced(ObservedReference(graph), NumpyLif(graph, flaw, probes), random_inputs(graph, TICKS), TICKS)


def at(tick: int, name: str, element: int, change: float) -> Flaw:
    """A flaw that adds `change` to one element of one value at one tick; it negates a Boolean."""

    def flaw(now: int, value_name: str, value: Array) -> Array:
        if (now, value_name) == (tick, name):
            value = value.copy()
            value.flat[element] = not value.flat[element] if value.dtype == bool else value.flat[element] + change
        return value

    return flaw


def test_an_exact_network_agrees_completely() -> None:
    """On grid weights every one of the spikes agrees, without a single flip, in layers that do fire."""
    report = forced()
    assert report.ok
    assert report.ticks == TICKS
    assert report.spikes_compared == TICKS * (48 + 36)
    assert (report.spikes_flipped, report.violations, report.worst_error) == (0, 0, 0)
    for layer in report.spikes:
        assert layer.agreement == 1
        assert 0.05 < layer.session_rate == layer.reference_rate < 0.5


def test_another_order_of_addition_is_within_tolerance() -> None:
    """Real weights summed backwards differ in the last bits only: seen, and far from the tolerance."""
    report = forced(graph=uneven(recurrent_net()))
    assert report.ok
    assert 0 < report.worst_share < 0.5
    assert report.worst_tensor


def test_one_turned_spike_is_named() -> None:
    """A single neuron that misfires once is found with its tick, tensor, index and distance from threshold."""
    report = forced(at(61, "layers.1.fired", 13, 0))
    assert not report.ok
    assert report.violations == 1
    first = report.first_violation
    assert first is not None
    assert (first.kind, first.tick, first.tensor, first.element) == ("spike", 61, "layers.1.spike", 13)
    assert first.amount is not None
    assert abs(first.amount) > 1 / 128
    assert "neuron 13" in report.text()
    assert f"{first.amount:+.3g} from its threshold" in report.text()


def test_an_adopted_spike_does_not_spread() -> None:
    """A turned spike in the first layer is one violation: what lies below is compared under the same spikes."""
    report = forced(at(61, "layers.0.fired", 5, 0))
    assert report.violations == 1
    assert [layer.differing for layer in report.spikes] == [1, 0]


def test_a_shifted_threshold_is_caught_although_every_spike_agrees() -> None:
    """One membrane that is 0.001 off shows in its margin and its state long before it turns a spike."""
    report = forced(at(40, "layers.0.membrane", 3, 1e-3))
    first = report.first_violation
    assert first is not None
    assert (first.kind, first.tick, first.tensor, first.element) == ("value", 40, "margin.layers.0.spike", 3)
    assert first.amount == pytest.approx(1e-3, rel=0.01)


def test_a_wrong_output_is_caught() -> None:
    """An output that is off by more than its tolerance fails, named, though states and spikes agree."""
    report = forced(at(7, "y", 2, 1e-3))
    first = report.first_violation
    assert first is not None
    assert (first.tick, first.tensor, first.element, report.violations) == (7, "y", 2, 1)


def test_a_nan_is_never_within_tolerance() -> None:
    """An element that is NaN on one side only is an infinite error."""
    report = forced(at(7, "y", 0, np.nan))
    assert not report.ok
    assert report.worst_error == np.inf
    assert report.to_json()["worst_error"] is None
    json.dumps(report.to_json(), allow_nan=False)


def test_each_tick_starts_from_the_reference() -> None:
    """A state damaged at one tick is a violation of that tick alone."""
    report = forced(at(30, "next.layers.0.v", 0, 0.5))
    assert report.violations == 1
    assert report.first_violation is not None
    assert (report.first_violation.tick, report.first_violation.tensor) == (30, "next.layers.0.v")


def test_a_spike_at_its_threshold_may_differ_and_is_counted() -> None:
    """A neuron that treats a tie as no spike differs within rounding: counted, and too many for the limit."""

    def strict(tick: int, name: str, value: Array) -> Array:
        return np.where(value == 1, np.float32(1 - 2**-24), value) if name.endswith("membrane") else value

    report = forced(strict, graph=undecayed(recurrent_net()))
    assert report.violations == 0
    assert report.spikes_flipped > 1
    assert report.flips_per_million == pytest.approx(1e6 * report.spikes_flipped / report.spikes_compared)
    assert not report.ok


def test_a_single_flip_is_no_rate() -> None:
    """One flip among few spikes passes although it is more than five per million; two do not; five in a million do."""
    figures = {"ticks": 1, "violations": 0, "worst_error": 0.0, "worst_share": 0.0, "worst_tensor": "", "worst_tick": 0}

    def ok(compared: int, flipped: int) -> bool:
        return ForcedReport(
            spikes_compared=compared, spikes_flipped=flipped, first_violation=None, spikes=(), **figures
        ).ok

    assert ok(1000, 1)
    assert not ok(1000, 2)
    assert ok(1_000_000, 5)
    assert not ok(1_000_000, 6)


def test_without_probes_a_mismatch_says_what_may_be_behind_it() -> None:
    """A plain build is compared in outputs and states; a difference there is said to be possibly a rounded spike."""
    assert forced(probes=False).ok
    report = forced(at(61, "layers.0.fired", 5, 0), probes=False)
    assert not report.ok
    assert report.spikes_compared == 0
    assert "probe build" in report.text()


def test_free_runs_of_an_exact_network_never_part() -> None:
    """Equal networks stay equal over the whole run, in spikes, values and rates."""
    graph = recurrent_net()
    report = compare_free(ObservedReference(graph), NumpyLif(graph), random_inputs(graph, TICKS), TICKS)
    assert report.first_spike is None
    assert report.first_value is None
    assert all(layer.differing == 0 for layer in report.spikes)
    assert report.outputs[0].difference == 0 < report.outputs[0].reference
    assert "never" in report.text()


def test_free_runs_name_where_they_part_and_drift_on() -> None:
    """One turned spike is the first difference, with its margin; being free, the runs then part further."""
    graph = recurrent_net()
    session = NumpyLif(graph, at(61, "layers.0.fired", 5, 0))
    report = compare_free(ObservedReference(graph), session, random_inputs(graph, TICKS), TICKS)
    first = report.first_spike
    assert isinstance(first, Difference)
    assert (first.tick, first.tensor, first.element) == (61, "layers.0.spike", 5)
    assert first.amount is not None
    assert sum(layer.differing for layer in report.spikes) > 1
    assert report.outputs[0].difference > 0
    assert report.ticks == TICKS
    json.dumps(report.to_json(), allow_nan=False)


def test_the_session_is_left_reset() -> None:
    """Whatever ran before does not matter, and afterwards the session is at its initial state."""
    graph = recurrent_net()
    session, data = NumpyLif(graph), random_inputs(graph, 20)
    session.step(data["x"][0])
    assert compare_forced(ObservedReference(graph), session, data, 20).ok
    assert not any(state.any() for state in session.states.values())


def test_another_networks_session_is_refused() -> None:
    """States of other names or shapes cannot be taken over; the error names one."""
    other = NumpyLif(recurrent_net(hidden=(48, 37)))
    with pytest.raises(VerificationError, match=r"layers\.1\."):
        compare_forced(ObservedReference(recurrent_net()), other, {}, 1)
    with pytest.raises(VerificationError, match="State"):
        compare_free(ObservedReference(lif_layer()), other, {}, 1)


@pytest.mark.parametrize("steps", [0, 11])
def test_no_ticks_or_too_few_are_refused(steps: int) -> None:
    """Zero ticks prove nothing, and eleven cannot be compared with data for ten."""
    graph = recurrent_net()
    with pytest.raises(InputError, match=str(steps)):
        compare_forced(ObservedReference(graph), NumpyLif(graph), random_inputs(graph, 10), steps)
