"""SpikingJelly's neurons in single-step mode: hard reset, to 0 and elsewhere, and soft reset, input decayed and not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spikingjelly.activation_based import neuron
from torch import nn

from tests.conformance.cases import Case, Layers, Weights, draw_weights
from tests.conformance.spikingjelly_transcribed import exponential

GRID_TAU, DRAWN_TAU = 8.0, 5.7  # a decay of 0.875; one that is rounded
BELOW = -0.25  # a reset potential that is not 0
Neuron = Callable[[float], nn.Module]  # the time constant in ticks


def _case(cell: str, variant: str, neurons: Neuron, gain: float, tie: float = 1.0, **options: Any) -> Case:
    def build(weights: Weights) -> nn.Module:
        tau = GRID_TAU if weights is Weights.GRID else DRAWN_TAU
        return draw_weights(Layers(neurons(tau), neurons(tau)), weights, gain=gain, tie=tie)

    return Case("SpikingJelly", cell, variant, build, **options)


def _if(**options: Any) -> Neuron:
    return lambda _: neuron.IFNode(**options)


def _lif(**options: Any) -> Neuron:
    return lambda tau: neuron.LIFNode(tau=tau, **options)


def _parametric(**options: Any) -> Neuron:
    # Of 1 / 2 sigmoid has every bit, of 1 / 8 it has not.
    return lambda tau: neuron.ParametricLIFNode(init_tau=2.0 if tau == GRID_TAU else 2.3, **options)


def _quadratic(**options: Any) -> Neuron:
    return lambda tau: neuron.QIFNode(tau=tau, v_c=0.75, **options)


def _exponential(**options: Any) -> Neuron:
    return lambda tau: neuron.EIFNode(tau=tau, **options)


def _izhikevich(**options: Any) -> Neuron:
    return lambda tau: neuron.IzhikevichNode(tau=tau, v_c=0.75, v_rest=0.0, tau_w=16.0, a=0.25, b=0.5, **options)


def _cuba(**options: Any) -> Neuron:
    return lambda _: neuron.CUBALIFNode(**options)


def _scaled(tau: float) -> nn.Module:
    return neuron.KLIFNode(scale_reset=True, tau=tau, decay_input=False, v_reset=None)


def _several(tau: float) -> nn.Module:
    """Up to four spikes in a tick."""
    return neuron.ILIFNode(tau=2.0 if tau == GRID_TAU else 1.7)


CASES = [
    _case("IFNode", "hard reset", _if(), 0.7),
    _case("IFNode", "soft reset", _if(v_reset=None), 0.7),
    _case("LIFNode", "hard reset", _lif(), 6.0, 8.0),
    _case("LIFNode", "hard reset below 0", _lif(v_reset=BELOW), 6.0, 8.0 * (1.0 - BELOW)),
    _case("LIFNode", "hard reset below 0, input as it is", _lif(v_reset=BELOW, decay_input=False), 1.0, 1.0 - BELOW),
    _case("LIFNode", "soft reset, input as it is", _lif(v_reset=None, decay_input=False), 0.7),
    _case("ParametricLIFNode", "soft reset", _parametric(v_reset=None), 2.5, 2.0),
    _case("ParametricLIFNode", "hard reset, input as it is", _parametric(decay_input=False), 1.0),
    # From reset, x / 8 must make up for 1.25 less what (v − 0)(v − 0.75) / 8 gives there.
    _case("QIFNode", "hard reset below 0", _quadratic(v_reset=BELOW), 6.0, 8.0 * (1.0 - BELOW) - 0.25),
    _case("QIFNode", "soft reset", _quadratic(v_reset=None), 6.0, 8.0),
    _case("EIFNode", "hard reset below 0", _exponential(), 6.0, exact=False, transcription=exponential),
    _case("EIFNode", "soft reset", _exponential(v_reset=None), 6.0, exact=False, transcription=exponential),
    _case("IzhikevichNode", "hard reset", _izhikevich(), 6.0, 8.0),
    _case("IzhikevichNode", "soft reset", _izhikevich(v_reset=None), 6.0, 8.0),
    _case("HalfThresholdIFNode", "", lambda _: neuron.HalfThresholdIFNode(), 0.7),
    _case("KLIFNode", "hard reset", lambda tau: neuron.KLIFNode(tau=tau), 6.0, 8.0),
    _case("KLIFNode", "soft reset, scaled", _scaled, 1.0),
    _case("CUBALIFNode", "hard reset", _cuba(), 0.4, 0.5),
    _case("CUBALIFNode", "soft reset", _cuba(v_reset=None), 0.4, 0.5),
    _case("TernaryIFNode", "hard reset", lambda _: neuron.TernaryIFNode(), 0.7),
    _case("TernaryLIFNode", "soft reset", lambda tau: neuron.TernaryLIFNode(tau, False, v_reset=None), 0.7),
    _case("ILIFNode", "up to four spikes", _several, 0.5, fires=False, ties=False),
    _case("RAFNode", "", lambda _: neuron.RAFNode(b=-0.25, omega=0.5, dt=0.5), 1.5, ties=False),
    _case("OTTTLIFNode", "", lambda tau: neuron.OTTTLIFNode(tau), 0.7),
    _case("SLTTLIFNode", "soft reset", lambda tau: neuron.SLTTLIFNode(tau, v_reset=None), 6.0, 8.0),
]
