"""Training form of RWKV-4's memory `wkv`: all ticks of a chunk at once, with the state carried from chunk to chunk.

A memory that decays by `e^w` a tick is linear in what it stores, so what a chunk of T ticks reads is one `(T, T)`
matrix a channel, `e^{w (t − 1 − s)}` for the tick s stored before t and `e^u` for the tick itself, times the keys'
exponentials. These are taken below the greatest key of the chunk; a key more than 80 below it counts as 80 below, which
float32 can hold, where a walk tick by tick is exact.
"""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 64
LOWEST = -80.0


def wkv_scan(
    k: Tensor, v: Tensor, aa: Tensor, bb: Tensor, pp: Tensor, *, first: Tensor, decay: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`astroedge.models.rwkv4.remember` over a sequence: `k`, `v` `(T, B, D)`, the state `(B, D)` each.

    Returns `wkv (T, B, D)` and the last aa, bb, pp. `first` is u, `decay` the time decay whose negative exponential is
    w, both `(D,)`.
    """
    outputs = []
    for start in range(0, k.shape[0], CHUNK):
        chunk = slice(start, start + CHUNK)
        output, aa, bb, pp = _chunk(k[chunk], v[chunk], aa, bb, pp, first, -torch.exp(decay))
        outputs.append(output)
    return torch.cat(outputs), aa, bb, pp


def _chunk(
    k: Tensor, v: Tensor, aa: Tensor, bb: Tensor, pp: Tensor, first: Tensor, w: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`wkv_scan` of one chunk."""
    ticks = len(k)
    time = torch.arange(ticks, device=k.device, dtype=k.dtype)
    top = torch.maximum(k.amax(0), pp).detach()
    stored = torch.exp((k - top).clamp(min=LOWEST))
    read = _weights(time, first, w) @ torch.cat((stored * v, stored), 1).permute(2, 0, 1)  # (D, T, 2 B)
    above, below = read.permute(1, 2, 0).chunk(2, 1)
    before = torch.exp(pp + time[:, None, None] * w - top)
    wkv = (above + before * aa) / (below + before * bb)

    kept, old = k + (ticks - 1 - time)[:, None, None] * w, pp + ticks * w
    last = torch.maximum(kept.amax(0), old)
    new, old = torch.exp(kept - last), torch.exp(old - last)
    return wkv, old * aa + (new * v).sum(0), old * bb + new.sum(0), last


def _weights(time: Tensor, first: Tensor, w: Tensor) -> Tensor:
    """What the tick of a row reads of the tick of a column, `(D, T, T)`: nothing of later ones."""
    lag = time[:, None] - time - 1
    past = torch.exp(w[:, None, None] * lag.clamp(min=0)) * (lag >= 0)
    return past + torch.exp(first)[:, None, None] * (lag == -1)
