"""Exporters: a PyTorch model becomes a step graph.

The way there, one room a stage: `step_call` (how the model is called), `state` (what it hides), `wrapping` (the model
as a pure function of its state), `tracing` (ONNX), `graph` (nothing left over, and what fires), `parity` (how often,
and the graph against the model). `from_onnx` and `nir` begin with a graph instead of a model. `export_model.py` and
`export_onnx.py` are the front doors, and `finish_graph.py` is where both ways join. All that touches the model runs in
forked children (`shared/child_process.py`).

Imports nouns and its rooms.
"""

from __future__ import annotations

from astroedge.host_package import require

for _package in ("torch", "onnx", "onnxruntime", "onnxscript"):
    require(_package, "exporting a model")

from astroedge.exporters.export_model import export  # noqa: E402  (after the check, so that its error is the one seen)

__all__ = ["export"]
