"""The filter of a hidden Markov model whose states emit spikes by a generalised linear model each (HMM-GLM).

Which of K brain states a population of N neurons is in, from its spikes y alone, a tick at a time:

    λ_k = exp(b_k + Σ_l W_k,l y[t − l]), l = 1 … L      the rate of each neuron in each state
    ℓ_k = Σ_n (y_n log λ_kn − λ_kn)                     log likelihood of the counts, Poisson, without − log y!
    a_k = log Σ_j exp(α_j + log A_jk) + ℓ_k             predict and correct
    α = a − log Σ_k exp a_k                             log of the filter; its exp sums to 1

− log y! is the same for all states and leaves no trace in α. This is the field's standard form, which the abstract of
arXiv 2310.15099 names but does not write: that the paper's inference is this step is unconfirmed. Its one-hot prior
acts in training only. Sums of exponentials are taken after their maximum is subtracted. Sizes are ours.

State: α `(B, K)`, log 1/K at the start, and the last L spike vectors, the newest first, `(B, L, N)`, zero at the start.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class HMMGLM(nn.Module):
    """The filter of `states` brain states over `neurons` neurons, each rate with `lags` ticks of all spikes."""

    output_names = ("log_probability",)

    def __init__(self, neurons: int = 32, states: int = 4, lags: int = 5, stay: float = 0.98) -> None:
        """Fresh weights from torch's global generator; a state lasts with probability `stay` a tick, rates are 0.1."""
        super().__init__()
        self.neurons, self.states, self.lags = neurons, states, lags
        self.W = nn.Linear(lags * neurons, states * neurons)
        nn.init.normal_(self.W.weight, std=0.5 * (lags * neurons) ** -0.5)
        nn.init.normal_(self.W.bias, math.log(0.1), 0.5)
        change = (1 - stay) / max(1, states - 1)
        self.log_A = nn.Parameter(torch.full((states, states), change).fill_diagonal_(stay).log())

    def state_names(self) -> list[str]:
        """Names of the state tensors, in the order of `initial_state`."""
        return ["alpha", "spikes"]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick: every brain state as likely, no spikes."""
        return [torch.full((batch, self.states), -math.log(self.states)), torch.zeros(batch, self.lags, self.neurons)]

    def forward(self, y: Tensor, alpha: Tensor, spikes: Tensor) -> tuple[Tensor, ...]:
        """One tick: spikes `y (B, neurons)` and the state → log of the filter `(B, states)`, and the next state."""
        log_rate = self.W(spikes.flatten(1)).reshape(-1, self.states, self.neurons)
        likelihood = (y[:, None] * log_rate - torch.exp(log_rate)).sum(-1)
        predicted = log_sum_exp(alpha[:, :, None] + torch.log_softmax(self.log_A, dim=1), 1)
        joint = predicted + likelihood
        alpha = joint - log_sum_exp(joint, 1)[:, None]
        return alpha, alpha, torch.cat([y[:, None], spikes[:, :-1]], dim=1)


def log_sum_exp(values: Tensor, axis: int) -> Tensor:
    """The logarithm of the sum of exponentials along an axis, which overflows for no finite values."""
    highest = values.amax(axis, keepdim=True)
    return torch.log(torch.exp(values - highest).sum(axis)) + highest.squeeze(axis)
