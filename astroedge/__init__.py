"""AstroEdge: a trained spiking or recurrent model becomes a step graph, a bundle, a session and a profile.

    graph = astroedge.export(model, (x,))                         torch model → StepGraph   (host)
    bundle = astroedge.compile(graph, target="raspberry-pi-4")    StepGraph   → Bundle      (host)
    session = astroedge.load("net.astro")                         Bundle      → Session     (device)
    pool = astroedge.load_pool("net.astro", 16)                   Bundle      → Pool of sessions, stepped together
    report = astroedge.verify(session, graph, steps=1000)         Session against its golden trace and its graph
    profile = astroedge.profile(session, steps=1000)              Session     → Profile
    astroedge.save_executable(bundle, "demo")                     Bundle      → one program, for a board without Python

Every name below is imported when it is first used, so that `import astroedge` on a device needs NumPy only.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

from astroedge.host_package import require

# ONNX Runtime reports to its makers from its first session on, and writes an identity of the device into HOME. It asks
# for this variable when it is imported, and for nothing later. Whoever set it before us meant it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from astroedge import errors as errors
    from astroedge.bundle.container import Bundle as Bundle
    from astroedge.exporters import export as export
    from astroedge.exporters.export_onnx import export_onnx as export_onnx
    from astroedge.exporters.graph.sequence import sequence as sequence
    from astroedge.runtimes import load as load
    from astroedge.runtimes import load_pool as load_pool
    from astroedge.runtimes.profiling.profiler import profile as profile
    from astroedge.runtimes.session.pool import Pool as Pool
    from astroedge.session import Session as Session
    from astroedge.step.graph import StepGraph as StepGraph
    from astroedge.step.spec import StateSpec as StateSpec
    from astroedge.step.spec import StepSpec as StepSpec
    from astroedge.step.spec import TensorSpec as TensorSpec
    from astroedge.step_profile import Profile as Profile
    from astroedge.step_profile import Reading as Reading
    from astroedge.step_profile import Timing as Timing
    from astroedge.targets.boards.board_file import Target as Target
    from astroedge.workflows.compile_graph import compile as compile
    from astroedge.workflows.save_executable import save_executable as save_executable
    from astroedge.workflows.verify_bundle import VerifyReport as VerifyReport
    from astroedge.workflows.verify_bundle import verify as verify

__version__ = "0.1.0"

# Name → module that defines it. No name here is the name of a sub-module: importing that module would replace it.
_DEFINED_IN = {
    "Bundle": "astroedge.bundle.container",
    "Pool": "astroedge.runtimes.session.pool",
    "Profile": "astroedge.step_profile",
    "Reading": "astroedge.step_profile",
    "Session": "astroedge.session",
    "StateSpec": "astroedge.step.spec",
    "StepGraph": "astroedge.step.graph",
    "StepSpec": "astroedge.step.spec",
    "Target": "astroedge.targets.boards.board_file",
    "TensorSpec": "astroedge.step.spec",
    "Timing": "astroedge.step_profile",
    "VerifyReport": "astroedge.workflows.verify_bundle",
    "compile": "astroedge.workflows.compile_graph",
    "export": "astroedge.exporters",
    "export_onnx": "astroedge.exporters.export_onnx",
    "load": "astroedge.runtimes",
    "load_pool": "astroedge.runtimes",
    "profile": "astroedge.runtimes.profiling.profiler",
    "save_executable": "astroedge.workflows.save_executable",
    "sequence": "astroedge.exporters.graph.sequence",
    "verify": "astroedge.workflows.verify_bundle",
}

__all__ = [
    "Bundle",
    "Pool",
    "Profile",
    "Reading",
    "Session",
    "StateSpec",
    "StepGraph",
    "StepSpec",
    "Target",
    "TensorSpec",
    "Timing",
    "VerifyReport",
    "__version__",
    "compile",
    "errors",
    "export",
    "export_onnx",
    "load",
    "load_pool",
    "profile",
    "save_executable",
    "sequence",
    "verify",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562) and keep it."""
    if name == "errors":
        return import_module("astroedge.errors")
    if name not in _DEFINED_IN:
        raise AttributeError(f"module 'astroedge' has no attribute {name!r}")
    value = getattr(require(_DEFINED_IN[name], f"astroedge.{name}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return __all__
