"""Reference step models, each written here from its published equations; they need torch."""

from __future__ import annotations

from astroedge.models.astrosnn import AstroSNN, AstroSNNConfig, AstroSNNStep
from astroedge.models.checkpoint import load_checkpoint, save_checkpoint

__all__ = ["AstroSNN", "AstroSNNConfig", "AstroSNNStep", "load_checkpoint", "save_checkpoint"]
