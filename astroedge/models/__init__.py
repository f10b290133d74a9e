"""Reference step models, each written here from its published equations; they need torch.

Imports `errors` and `replace_file`.
"""

from __future__ import annotations

from astroedge.models.alif_network import ALIFNetwork
from astroedge.models.astrosnn import AstroSNN, AstroSNNConfig, AstroSNNStep
from astroedge.models.checkpoint import load_checkpoint, save_checkpoint
from astroedge.models.conv_lif_network import ConvLIFNetwork
from astroedge.models.diverse_neurons import DiverseNetwork
from astroedge.models.elm import ELM
from astroedge.models.gru_network import GRUNetwork
from astroedge.models.l2mu import L2MU
from astroedge.models.learnt_tau_rnn import LearntTauRNN
from astroedge.models.lif import LIF
from astroedge.models.lif_network import LIFNetwork
from astroedge.models.spiking_rwkv import SpikingRWKV, SpikingRWKVConfig

__all__ = [
    "ELM",
    "L2MU",
    "LIF",
    "ALIFNetwork",
    "AstroSNN",
    "AstroSNNConfig",
    "AstroSNNStep",
    "ConvLIFNetwork",
    "GRUNetwork",
    "DiverseNetwork",
    "LIFNetwork",
    "LearntTauRNN",
    "SpikingRWKV",
    "SpikingRWKVConfig",
    "load_checkpoint",
    "save_checkpoint",
]
