"""One tick of every NIR node that remembers something: neurons, integrators and delays.

NIR gives ordinary differential equations (Pedersen et al. 2024, "Neuromorphic intermediate representation", Nature
Communications 15, 8122; the docstrings of nir 1.0.8). Here they take one step of forward Euler of length dt:

    tau dv/dt = (v_leak - v) + r I      v + (dt / tau) (v_leak - v) + (dt r / tau) I     LI, LIF
    dv/dt = r I                         v + (dt r) I                                     I, IF
    tau_syn dI/dt = -I + w_in S         I - (dt / tau_syn) I + (dt w_in / tau_syn) S     CubaLI, CubaLIF, their current
    z = 1 where v > v_threshold, and v = v_reset where z = 1                             LIF, CubaLIF, IF

An impulse (`input=impulse`) has the area 1 within the tick, so that its factor has no dt. Constants are computed in
float64 and rounded once; the tick itself is float32.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from astroedge.errors import ExportError
from astroedge.exporters.nir.file import Node

Shape = tuple[int, ...]


class StatefulNode(nn.Module):
    """A node with memory: `forward(x, *state) -> (y, *next state)`, x `(batch, *shape)`, float32.

    `initial` holds the first value of each state by name, without the batch axis.
    """

    initial: dict[str, Tensor]
    shape: Shape

    def constant(self, name: str, values: np.ndarray) -> None:
        """Keep a parameter as a float32 buffer."""
        self.register_buffer(name, _float32(values))


class Membrane(StatefulNode):
    """LI, LIF, I, IF and the membranes of CubaLI and CubaLIF.

    v += leak (v_leak - v) + gain x, with leak = 0 for I and IF; spiking ones then fire and reset.
    """

    v_leak: Tensor
    leak: Tensor
    gain: Tensor
    v_threshold: Tensor
    v_reset: Tensor

    def __init__(self, node: Node, shape: Shape, dt: float, choices: Mapping[str, str]) -> None:
        super().__init__()
        self.shape, self.choices = shape, dict(choices)
        self.leaks, self.fires = "v_leak" in node.fields, "v_threshold" in node.fields
        r, rest = per_element(node, "r", shape), np.zeros(shape)
        if self.leaks:
            fraction = _fraction(node, "tau_mem" if "tau_mem" in node.fields else "tau", shape, dt)
            rest = per_element(node, "v_leak", shape)
            self.constant("leak", fraction)
            self.constant("v_leak", rest)
            self.constant("gain", fraction * r)
        else:
            self.constant("gain", r if choices["input"] == "impulse" else dt * r)
        if self.fires:
            reset = per_element(node, "v_reset", shape, 0.0)
            self.constant("v_threshold", per_element(node, "v_threshold", shape))
            self.constant("v_reset", reset)
            rest = rest if self.leaks else reset
        self.initial = {"v": _float32(rest if choices["start"] == "rest" else np.zeros(shape))}

    def forward(self, x: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        """One tick: v or spikes, then the next v."""
        driven = self.gain * x
        moved = v + (self.leak * (self.v_leak - v) + driven if self.leaks else driven)
        if not self.fires:
            return moved, moved
        if self.choices["reset"] == "later":
            moved = torch.where(self._fires(v), moved - self.v_threshold, moved)
            return self._fires(moved).to(v.dtype), moved
        v, fired = moved, self._fires(moved)
        reset = v - self.v_threshold if self.choices["reset"] == "subtract" else self.v_reset
        return fired.to(v.dtype), torch.where(fired, reset, v)

    def _fires(self, v: Tensor) -> Tensor:
        return v >= self.v_threshold if self.choices["threshold"] == "reached" else v > self.v_threshold


class Cuba(Membrane):
    """CubaLI and CubaLIF: a current that leaks, then a membrane that gets it."""

    decay: Tensor
    w_in: Tensor

    def __init__(self, node: Node, shape: Shape, dt: float, choices: Mapping[str, str]) -> None:
        super().__init__(node, shape, dt, choices)
        self.old = choices["current"] == "old"
        fraction, weight = _fraction(node, "tau_syn", shape, dt), per_element(node, "w_in", shape)
        self.constant("decay", fraction)
        self.constant("w_in", fraction / dt * weight if choices["input"] == "impulse" else fraction * weight)
        self.initial = {"i": torch.zeros(shape), **self.initial}

    def forward(self, x: Tensor, i: Tensor, v: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        """One tick: v or spikes, then the next current and the next v."""
        following = i - self.decay * i + self.w_in * x
        y, v = super().forward(i if self.old else following, v)
        return y, following, v


class Delay(StatefulNode):
    """y(t) = x(t - delay), by a queue of as many ticks as the longest delay; every element enters it at its own place.

    Before the first input arrives the output is 0.
    """

    entrance: Tensor
    direct: Tensor

    def __init__(self, node: Node, shape: Shape, dt: float) -> None:
        super().__init__()
        self.shape = shape
        ticks = delay_ticks(node, shape, dt)
        self.length = int(ticks.max(initial=0))
        places = np.arange(self.length).reshape(-1, *(1 for _ in shape))
        self.register_buffer("entrance", torch.from_numpy(places == ticks - 1))
        self.register_buffer("direct", torch.from_numpy(ticks == 0))
        self.breaks_cycles = bool((ticks > 0).all())
        self.has_direct = bool((ticks == 0).any())
        self.initial = {"queue": torch.zeros(self.length, *shape)} if self.length else {}

    def read(self, queue: Tensor) -> Tensor:
        """What leaves the queue in this tick: nothing of this tick's input where every delay is at least one."""
        return queue[:, 0]

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: what leaves the queue, then the next queue; without a delay the input itself."""
        if not state:
            return (x,)
        (queue,) = state
        y = torch.where(self.direct, x, self.read(queue)) if self.has_direct else self.read(queue)
        moved = torch.cat([queue[:, 1:], torch.zeros_like(queue[:, :1])], dim=1)
        return y, torch.where(self.entrance, x.unsqueeze(1), moved)


def delay_ticks(node: Node, shape: Shape, dt: float) -> np.ndarray:
    """The delay of every element in ticks. Raises ExportError where it is negative or not a whole number of ticks."""
    ticks = per_element(node, "delay", shape) / dt
    whole = np.rint(ticks)
    if (ticks < 0).any() or (np.abs(ticks - whole) > 1e-5 * np.maximum(1, whole)).any():
        worst = float(ticks.flat[np.abs(ticks - whole).argmax()] * dt)
        raise ExportError(
            f"{node.label} delays by {worst:g} s, which is no whole number of ticks of {dt:g} s; choose a --dt that "
            "divides it, or round the delays before nir.write."
        )
    return whole.astype(np.int64)


def per_element(node: Node, field: str, shape: Shape, default: float | None = None) -> np.ndarray:
    """A parameter with one value per element; a single number stands for all. Raises ExportError for another shape."""
    values = node.numbers(field, default)
    if values.shape != shape and values.size != 1:
        raise ExportError(f"{field} of {node.label} has shape {values.shape}, but its input has {shape}.")
    return np.broadcast_to(values.reshape(()) if values.size == 1 else values, shape)


def _fraction(node: Node, field: str, shape: Shape, dt: float) -> np.ndarray:
    """dt / tau. Raises ExportError for a tau below dt: the step would shoot past its goal, and diverge below dt / 2."""
    tau = per_element(node, field, shape)
    smallest = float(tau.min(initial=np.inf))
    # A tau of dt that a float32 has rounded is still dt.
    if np.float32(smallest) < np.float32(dt):
        raise ExportError(
            f"{field} of {node.label} goes down to {smallest:g} s, below dt = {dt:g} s: a step would shoot past its "
            "goal. Give the dt of the simulator that wrote the file, in the unit of its time constants."
        )
    return np.minimum(dt / tau, 1.0)


def _float32(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32).reshape(values.shape))
