"""The leaky integrate-and-fire neuron with hard reset, one tick at a time.

    v = λ v_prev + i        s = Θ(v − θ)        v_next = v (1 − s)

`λ` is the decay of a tick, `θ` the threshold, `Θ` the step that is 1 at 0. SpikingJelly calls this an `LIFNode` with
`decay_input=False`, `v_reset=0` and λ = 1 − 1/τ (the neuron of the delay networks of arXiv 2306.17670).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LIF(nn.Module):
    """A population of LIF neurons; spikes have no surrogate derivative.

    `decay` and `threshold` are numbers that all neurons share, or tensors of one for each, `(N,)` or `(C, 1, 1)`. A
    checkpoint holds the threshold, a parameter, and decays that are a tensor.
    """

    decay: float | Tensor

    def __init__(self, decay: float | Tensor, threshold: float | Tensor = 1.0) -> None:
        super().__init__()
        if isinstance(decay, Tensor):
            self.register_buffer("decay", decay)
        else:
            self.decay = decay
        self.threshold = nn.Parameter(threshold if isinstance(threshold, Tensor) else torch.full((1,), threshold))

    def forward(self, current: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """One tick: the input current and the membrane, of one shape → spikes 0 and 1, next membrane."""
        v = self.decay * v + current
        s = (v >= self.threshold).to(v.dtype)
        return s, v * (1 - s)
