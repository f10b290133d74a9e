"""What a benchmark ran on: machine, kernel and the versions that matter."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from astroedge import __version__
from astroedge.runtimes.profiling.sensors import describe_machine

PACKAGES = ("apache-tvm", "onnxruntime", "torch", "numpy")


def describe() -> dict[str, Any]:
    """Board, processor, cores, governor and kernel as text, and `versions` by package."""
    versions = {"astroedge": __version__} | {package: version(package) for package in PACKAGES}
    return {**describe_machine(), "versions": versions}
