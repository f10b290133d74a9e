"""Training forms of spiking recurrences: a tick at a time is exact but slow, a whole sequence at a time is not.

Everything here is time-major, `(T, B, …)`, so that one tick is one contiguous block. The matrices of a layer are
applied to all ticks at once; only the element-wise part of a membrane has to walk through time (`leaky_scan`), and a
memory that is linear in what it stores can be read for all ticks at once (`decayed_attention`).

The derivative of a spike is taken to be `1 / (1 + (π x)²)` at distance `x` from the threshold, and the reset is not
differentiated: both are usual in training with surrogate gradients and change nothing in the forward pass.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

ATTENTION_CHUNK = 128


def fire(membrane: Tensor, threshold: float | Tensor) -> Tensor:
    """Spikes of membranes that reach `threshold`: 1 where `membrane >= threshold`, else 0, in the membrane's dtype.

    This is the inference form: nothing but a comparison and a cast, so that an exported graph shows both.
    """
    return (membrane >= threshold).to(membrane.dtype)


def spike(membrane: Tensor, threshold: float) -> Tensor:
    """The same spikes as `fire`, with the surrogate derivative."""
    return _Spike.apply(membrane, threshold)  # type: ignore[no-any-return, no-untyped-call]


def fires_at(membrane: Tensor, threshold: Tensor, training: bool) -> Tensor:
    """Spikes of membranes that reach thresholds of their own, which learn too: with a surrogate in training.

    Out of training it is the comparison alone, so that an exported graph shows it.
    """
    return spike(membrane - threshold, 0.0) if training else (membrane >= threshold).to(membrane.dtype)


def fires_above(membrane: Tensor, threshold: Tensor, training: bool) -> Tensor:
    """`fires_at`, but a membrane exactly on its threshold stays silent."""
    return 1 - spike(threshold - membrane, 0.0) if training else (membrane > threshold).to(membrane.dtype)


def leaky_scan(
    current: Tensor, decay: Tensor, initial: Tensor, threshold: float, readout: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Leaky integrate-and-fire over a sequence, with reset by subtraction.

    Per tick: `m = decay ⊙ m_prev + current[t]`, `s = Θ(m + readout[t] − threshold)`, `m_prev ← m − s · threshold`.
    `current` and `readout` are `(T, B, N)`, `decay` is `(N,)` in (0, 1), `initial` is `(B, N)`. A readout helps the
    neuron to fire but is not stored in its membrane. Returns the spikes `(T, B, N)` and what the last reset left,
    `(B, N)`. All is computed in the dtype of `initial`, whatever a matrix product under autocast gave.
    """
    current, readout = current.to(initial.dtype), None if readout is None else readout.to(initial.dtype)
    return _LeakyScan.apply(current, decay, initial, threshold, readout)  # type: ignore[no-any-return, no-untyped-call]


def resetting_scan(current: Tensor, decay: float, initial: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Leaky integrate-and-fire over a sequence, with reset to zero.

    Per tick: `m = decay · m_prev + current[t]`, `s = Θ(m − threshold)`, `m_prev ← m (1 − s)`. `current` is `(T, B, N)`,
    `initial` `(B, N)`. Returns the spikes `(T, B, N)` and what the last reset left, `(B, N)`.
    """
    return _ResettingScan.apply(current, decay, initial, threshold)  # type: ignore[no-any-return, no-untyped-call]


def decayed_attention(q: Tensor, k: Tensor, v: Tensor, decay: Tensor, initial: Tensor) -> tuple[Tensor, Tensor]:
    """What a decaying outer-product memory gives back at every tick: `H ← γ H + k vᵀ`, then `o = Hᵀ q`.

    `q`, `k`, `v` are `(T, B, h, d)`, `decay` is γ, one a head, `(h,)`, and `initial` is H before the first tick, `(B,
    h, d, d)` with the key first. Returns `o (T, B, h, d)`, unscaled, and the last H. The memory is linear in `k` and
    `v`, so a chunk of ticks is one masked product instead of a walk through time; the cost per tick grows with
    `ATTENTION_CHUNK`, not with T.
    """
    memory, outputs = initial, []
    for start in range(0, q.shape[0], ATTENTION_CHUNK):
        chunk = slice(start, start + ATTENTION_CHUNK)
        output, memory = _attention_chunk(q[chunk], k[chunk], v[chunk], decay, memory)
        outputs.append(output)
    return torch.cat(outputs), memory


def _attention_chunk(q: Tensor, k: Tensor, v: Tensor, decay: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """`decayed_attention` of one chunk."""
    ticks = q.shape[0]
    q, k, v = (x.permute(1, 2, 0, 3) for x in (q, k, v))  # (B, h, T, d)
    time = torch.arange(ticks, device=q.device, dtype=decay.dtype)
    lag = time[:, None] - time[None, :]
    gamma = decay[:, None, None]
    mask = torch.where(lag >= 0, gamma ** lag.clamp(min=0), torch.zeros((), dtype=decay.dtype, device=q.device))
    inside = ((q @ k.transpose(-1, -2)) * mask) @ v
    before = (q @ memory) * gamma ** (time + 1)[:, None]
    kept = k.transpose(-1, -2) @ (v * gamma ** (ticks - 1 - time)[:, None])
    return (inside + before).permute(2, 0, 1, 3), gamma**ticks * memory + kept


def _surrogate(distance: Tensor) -> Tensor:
    """The derivative that stands for that of a step: `1 / (1 + (π x)²)`."""
    return (distance * math.pi).square_().add_(1.0).reciprocal_()


class _Spike(torch.autograd.Function):
    """`fire` forward, the surrogate backward."""

    @staticmethod
    def forward(ctx: Any, membrane: Tensor, threshold: float) -> Tensor:
        ctx.save_for_backward(membrane)
        ctx.threshold = threshold
        return fire(membrane, threshold)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (membrane,) = ctx.saved_tensors
        return gradients[0] * _surrogate(membrane - ctx.threshold), None


class _LeakyScan(torch.autograd.Function):
    """`leaky_scan` with a hand-written backward: three small operations a tick forward, two backward."""

    @staticmethod
    def forward(
        ctx: Any, current: Tensor, decay: Tensor, initial: Tensor, threshold: float, readout: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        membrane, spikes = torch.empty_like(current), torch.empty_like(current)
        left = current.new_empty(len(current) + 1, *initial.shape)  # before the first tick and after each
        left[0] = initial
        ticks = zip(
            current.unbind(), membrane.unbind(), spikes.unbind(), left[:-1].unbind(), left[1:].unbind(), strict=True
        )
        helped = [None] * len(current) if readout is None else readout.unbind()
        # A view for each tick, all made at once: to index there would take as long as to compute.
        for (now, m, s, before, after), help in zip(ticks, helped, strict=True):
            torch.addcmul(now, decay, before, out=m)
            torch.ge(m if help is None else m + help, threshold, out=s)
            torch.sub(m, s, alpha=threshold, out=after)
        ctx.threshold = threshold
        ctx.save_for_backward(membrane, left, decay, readout)
        return spikes, left[-1].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, Tensor | None]:
        membrane, left, decay, readout = ctx.saved_tensors
        d_spikes, d_left = gradients
        drive = membrane if readout is None else membrane + readout
        d_drive = d_spikes * _surrogate(drive - ctx.threshold)
        d_current = torch.empty_like(membrane)
        for d_now, d_m in zip(reversed(d_drive.unbind()), reversed(d_current.unbind()), strict=True):
            torch.add(d_now, d_left, out=d_m)
            d_left = d_m * decay
        d_decay = (d_current * left[:-1]).sum(dim=(0, 1))
        return d_current, d_decay, d_left, None, None if readout is None else d_drive


class _ResettingScan(torch.autograd.Function):
    """`resetting_scan` with a hand-written backward, as `_LeakyScan`."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, decay: float, initial: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
        membrane, spikes = torch.empty_like(current), torch.empty_like(current)
        left = initial
        for t in range(current.shape[0]):
            torch.add(current[t], left, alpha=decay, out=membrane[t])
            torch.ge(membrane[t], threshold, out=spikes[t])
            left = torch.addcmul(membrane[t], membrane[t], spikes[t], value=-1)
        ctx.decay, ctx.threshold = decay, threshold
        ctx.save_for_backward(membrane, spikes)
        return spikes, left

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor, None]:
        membrane, spikes = ctx.saved_tensors
        d_spikes, d_left = gradients
        d_current, kept = d_spikes * _surrogate(membrane - ctx.threshold), (1 - spikes) * ctx.decay
        d_left = d_left / ctx.decay
        for t in range(membrane.shape[0] - 1, -1, -1):
            d_left = d_current[t].addcmul_(d_left, kept[t])
        return d_current, None, d_left * ctx.decay, None
