"""Exporters: a PyTorch model becomes a step graph.

The way there, one file a stage: `call` (how the model is called), `find_state` (what it hides), `step_module` (the
model as a pure function of its state), `trace` (ONNX), `tidy` (nothing left over), `find_spikes` and `activity` (what
fires, how often), `parity` (the graph against the model). All that touches the model runs in forked children
(`isolate`).
"""

from __future__ import annotations

from astroedge.host_package import require

for _package in ("torch", "onnx", "onnxruntime", "onnxscript"):
    require(_package, "exporting a model")

from astroedge.exporters.export_model import export  # noqa: E402  (after the check, so that its error is the one seen)

__all__ = ["export"]
