"""Give every group of spiking neurons in a model with random weights a chosen firing rate.

How many neurons fire decides what an event-driven step costs, and random weights leave that to chance: some groups
would be silent and others fire at every tick. `calibrate` lets a model run on random inputs, and after every few ticks
turns one parameter of each group that fires too seldom or too often, all groups at once, by less and less: what
homeostasis does in tissue. That parameter belongs to the group anyway (its threshold, its constant current, the shift
of the layer norm or the scale of the matrix that drives it), so the architecture stays what it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from astroedge.models import LIF, AstroSNN
from astroedge.models.alif_network import ALIF
from astroedge.models.astrosnn import Block

CHUNK = 8  # ticks between two corrections
FIRST_GAIN, LAST_GAIN = 0.8, 0.04  # of the logarithm of what is missing
LOWEST_RATE = 1e-3  # a silent group is taken to fire this often
CURRENT = 0.3  # the smallest piece
SCALES = (0.02, 30.0)  # how far the scale of a matrix may go

Inputs = tuple[Tensor, ...]
# Advances the streams by one chunk and tells how often each group fired.
Advance = Callable[[], Mapping[str, float]]
# Raises (or, if negative, lowers) what drives a group.
Dial = Callable[[float], object]


@dataclass(frozen=True)
class Patient:
    """A model that runs: `advance` lets it fire for a chunk of ticks, `dials` has one entry for each of its groups.

    `hooks` are what listens to its modules.
    """

    advance: Advance
    dials: Mapping[str, Dial]
    hooks: list[RemovableHandle] = field(default_factory=list)


def calibrate(patient: Patient, rate: float, chunks: int) -> dict[str, float]:
    """Turn the dials for `chunks` chunks until every group fires at about `rate`; returns the rates reached.

    Afterwards nothing listens to the model any more.
    """
    for chunk in range(chunks):
        gain = FIRST_GAIN * (LAST_GAIN / FIRST_GAIN) ** (chunk / max(chunks - 1, 1))
        for name, measured in patient.advance().items():
            patient.dials[name](gain * math.log(rate / max(measured, LOWEST_RATE)))
    final = [patient.advance() for _ in range(max(chunks // 4, 4))]
    for hook in patient.hooks:
        hook.remove()
    return {name: sum(rates[name] for rates in final) / len(final) for name in patient.dials}


def step_patient(model: nn.Module, state: Sequence[Tensor], draw: Callable[[], Inputs]) -> Patient:
    """A model whose `forward(*inputs, *state) -> (output, *state)` is one tick; its groups are its neuron modules.

    `state` and what `draw` gives for every tick have the batch of streams that run beside each other.
    """
    fired: dict[str, list[float]] = {}
    dials: dict[str, Dial] = {}
    hooks: list[RemovableHandle] = []
    for name, module in model.named_modules():
        if isinstance(module, LIF):
            dials[name] = _threshold(module, hooks)
            hooks.append(module.register_forward_hook(_listener(fired, name, 0)))
        elif isinstance(module, ALIF):
            dials[name] = _constant_current(module)
            hooks.append(module.register_forward_hook(_listener(fired, name, 1)))
    current = list(state)

    def advance() -> dict[str, float]:
        fired.clear()
        for _ in range(CHUNK):
            current[:] = model(*draw(), *current)[1:]
        return {name: sum(rates) / len(rates) for name, rates in fired.items()}

    return Patient(advance, dials, hooks)


def astrosnn_patient(model: AstroSNN, streams: int, draw: Callable[[int], Tensor]) -> Patient:
    """An AstroSNN, run a chunk of ticks at a time; `draw(CHUNK)` gives tokens `(streams, CHUNK)`."""
    dials: dict[str, Dial] = {}
    for layer, block in enumerate(model.blocks):
        assert isinstance(block, Block)
        astro = block.astro
        own = {
            "a.spike": _shift(block.norm_a.bias),
            "astro.W_q.spike": _scale(astro.W_q.weight),
            "astro.W_k.spike": _scale(astro.W_k.weight),
            "astro.r.spike": _shift(astro.W_x.bias),
            "c.spike": _shift(block.norm_c.bias),
            "f.spike": _shift(block.W_up.bias),
        }
        dials |= {f"blocks.{layer}.{name}": dial for name, dial in own.items()}
    state = model.initial_state(streams)

    def advance() -> dict[str, float]:
        spikes: dict[str, Tensor] = {}
        state[:] = model(draw(CHUNK), list(state), spikes)[1]
        return {name: tensor.mean().item() for name, tensor in spikes.items()}

    return Patient(advance, dials)


def _listener(fired: dict[str, list[float]], name: str, position: int) -> Callable[..., None]:
    """A hook that notes how much of the result at `position` is 1."""

    def listen(module: nn.Module, inputs: Inputs, results: Inputs) -> None:
        fired.setdefault(name, []).append(results[position].mean().item())

    return listen


def _threshold(neurons: LIF, hooks: list[RemovableHandle]) -> Dial:
    """Lower the threshold, in units of how much the membranes spread at the last tick."""
    spread = [0.0]

    def note(module: nn.Module, inputs: Inputs) -> None:
        current, v = inputs
        spread[0] = (neurons.decay * v + current).std().item()

    hooks.append(neurons.register_forward_pre_hook(note))
    return lambda amount: neurons.threshold.sub_(amount * spread[0])


def _constant_current(neurons: ALIF) -> Dial:
    """Add to what all neurons get on top of their own currents, in larger pieces the stronger they adapt."""
    before, current = neurons.W_in.bias.clone(), [0.0]

    def turn(amount: float) -> None:
        current[0] += amount * (CURRENT + abs(current[0]))
        neurons.W_in.bias.copy_(before + current[0])

    return turn


def _shift(parameter: Tensor) -> Dial:
    """Add to every element."""
    return lambda amount: parameter.add_(amount)


def _scale(parameter: Tensor) -> Dial:
    """Multiply every element, within `SCALES`."""
    before, exponent = parameter.clone(), [0.0]

    def turn(amount: float) -> None:
        low, high = (math.log(scale) for scale in SCALES)
        exponent[0] = min(max(exponent[0] + amount, low), high)
        parameter.copy_(before * math.exp(exponent[0]))

    return turn
