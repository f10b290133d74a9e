"""Reference step models, each written here from its published equations; they need torch.

Imports `errors`, `replace_file` and `zoo_record`.
"""

from __future__ import annotations

from astroedge.models.alif_network import ALIFNetwork
from astroedge.models.astrosnn import AstroSNN, AstroSNNConfig, AstroSNNStep
from astroedge.models.astrosnn_sensors import AstroSNNSensors
from astroedge.models.bdh import BDH, BDHConfig
from astroedge.models.checkpoint import load_checkpoint, save_checkpoint
from astroedge.models.conv_lif_network import ConvLIFNetwork
from astroedge.models.csdp_circuit import CSDPCircuit
from astroedge.models.delay_network import DelayNetwork, DelayStream
from astroedge.models.diverse_neurons import DiverseNetwork
from astroedge.models.egru_language_model import EGRULanguageModel
from astroedge.models.egru_network import EGRUNetwork
from astroedge.models.elm import ELM
from astroedge.models.gru_network import GRUNetwork
from astroedge.models.hmm_glm import HMMGLM
from astroedge.models.l2mu import L2MU
from astroedge.models.l2mu_sensors import L2MUSensors
from astroedge.models.learnt_delays import LearntDelays
from astroedge.models.learnt_tau_rnn import LearntTauRNN
from astroedge.models.lif import LIF
from astroedge.models.lif_network import LIFNetwork
from astroedge.models.mpath import MPATHNetwork
from astroedge.models.nalsm import NALSM
from astroedge.models.nalsm_classifier import NALSMClassifier
from astroedge.models.plif_network import PLIFNetwork
from astroedge.models.rate_rnn import RateRNN
from astroedge.models.rwkv4 import RWKV4, RWKV4Config, SpikeGPT
from astroedge.models.snu_network import SNUNetwork
from astroedge.models.spiking_rwkv import SpikingRWKV, SpikingRWKVConfig
from astroedge.models.standardise import Standardise

__all__ = [
    "ALIFNetwork",
    "AstroSNN",
    "AstroSNNConfig",
    "AstroSNNSensors",
    "AstroSNNStep",
    "BDH",
    "BDHConfig",
    "CSDPCircuit",
    "ConvLIFNetwork",
    "DelayNetwork",
    "DelayStream",
    "DiverseNetwork",
    "EGRULanguageModel",
    "EGRUNetwork",
    "ELM",
    "GRUNetwork",
    "HMMGLM",
    "L2MU",
    "L2MUSensors",
    "LIF",
    "LIFNetwork",
    "LearntDelays",
    "LearntTauRNN",
    "MPATHNetwork",
    "NALSM",
    "NALSMClassifier",
    "PLIFNetwork",
    "RWKV4",
    "RWKV4Config",
    "RateRNN",
    "SNUNetwork",
    "SpikeGPT",
    "SpikingRWKV",
    "SpikingRWKVConfig",
    "Standardise",
    "load_checkpoint",
    "save_checkpoint",
]
