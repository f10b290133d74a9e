"""Installed packages: those AstroEdge uses, their versions, and whether they can be imported."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from astroedge import zoo_record
from astroedge.host_package import variables_for_imports
from astroedge.targets.cuda import nvrtc
from astroedge.workflows.doctor.findings import BROKEN, DEVICE, EXTRA, HOST, MISSING, OK, UNTESTED, Finding

_INSTALL = {DEVICE: "pip install astroedge", HOST: 'pip install "astroedge[host]"'}

_IMPORT_ALL = """
import sys
sys.path[:] = [path for path in sys.path if path]
from importlib import import_module
for name in sys.argv[1:]:
    try:
        import_module(name)
        print(name, flush=True)
    except BaseException as error:
        print(name, type(error).__name__ + ":", " ".join(str(error).split()), flush=True)
"""
"""Python looks in the working directory first, where a torch.py may lie that is not PyTorch."""


@dataclass(frozen=True)
class Package:
    """A distribution AstroEdge uses: the module that is imported, what for, which side needs it, how to get it."""

    name: str
    module: str
    purpose: str
    side: str = HOST
    install: str = _INSTALL[HOST]

    def missing(self) -> Finding:
        """The finding for a package that is not installed."""
        return Finding(self.side, self.name, MISSING, "", self.purpose, self.install)

    def broken(self, version: str, reason: str) -> Finding:
        """The finding for one that is installed and cannot be imported."""
        return Finding(
            self.side, self.name, BROKEN, version, self.purpose, f"{self.install} --force-reinstall ({reason})"
        )

    def found(self, version: str, tested: str) -> Finding:
        """The finding for one that is there; a local version such as 2.13.0+cpu is the same release otherwise built."""
        right = version.partition("+")[0] == tested
        cure = "" if right else f"tested: {tested}"
        return Finding(self.side, self.name, OK if right else UNTESTED, version, self.purpose, cure)


def _on_device(name: str, purpose: str) -> Package:
    return Package(name, name, purpose, DEVICE, _INSTALL[DEVICE])


PACKAGES = (
    _on_device("numpy", "loading and running bundles"),
    _on_device("click", "the command line"),
    _on_device("rich", "tables and progress bars"),
    _on_device("psutil", "memory in profiles"),
    Package("torch", "torch", "exporting models"),
    Package("onnx", "onnx", "reading and writing step graphs"),
    Package("onnxscript", "onnxscript", "exporting models"),
    Package("onnxruntime", "onnxruntime", "the reference that bundles are compared with"),
    Package("apache-tvm", "tvm", "compiling"),
    Package("apache-tvm-ffi", "tvm_ffi", "compiling"),
    Package("h5py", "h5py", "reading NIR files"),
    Package("safetensors", "safetensors", "checkpoints of the reference models"),
    Package("ziglang", "ziglang", "linking for every target"),
    Package(nvrtc.PACKAGE, nvrtc.MODULE, "compiling for GPUs", install=nvrtc.INSTALL),
)


EXTRAS = {
    "report": (("jinja2", "vl_convert"), "pages: report, view, profile --html"),
    "text": (("tokenizers",), "text of models with a tokenizer"),
    "events": (("aedat",), "recordings of event cameras"),
    nvrtc.EXTRA: ((nvrtc.MODULE,), "compiling for GPUs"),
    "zoo": ((zoo_record.PACKAGE,), "trained networks: zoo, export zoo:NAME"),
}
"""The modules that an extra of `pip install`, or a wheel of its own, brings, and what for."""


def find_extras() -> list[Finding]:
    """Whether the packages of each extra are installed."""
    findings = []
    for extra, (modules, purpose) in EXTRAS.items():
        is_there = all(map(_is_there, modules))
        cure = zoo_record.INSTALL if extra == "zoo" else f'pip install "astroedge[{extra}]"'
        state = OK if is_there else MISSING
        findings.append(Finding(EXTRA, extra, state, "", purpose, "" if is_there else cure))
    return findings


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is missing
        return False


def find_packages(imports: bool, packages: Sequence[Package] = PACKAGES) -> list[Finding]:
    """Whether each package is installed, in which version and, with `imports`, whether it can be imported."""
    tested = pinned_versions()
    versions = {package: version for package in packages if (version := _installed(package)) is not None}
    errors = import_errors([package.module for package in versions]) if imports else {}
    findings = []
    for package in packages:
        version = versions.get(package)
        if version is None:
            findings.append(package.missing())
        elif reason := errors.get(package.module) or _lack(package):
            findings.append(package.broken(version, reason))
        else:
            findings.append(package.found(version, tested.get(package.name, "")))
    return findings


def _installed(package: Package) -> str | None:
    """The version that is installed; None for none."""
    try:
        return metadata.version(package.name)
    except metadata.PackageNotFoundError:
        return None


def _lack(package: Package) -> str:
    """Why an installed package cannot be imported, as far as that shows without importing it; "" for no reason."""
    return "" if find_spec(package.module.partition(".")[0]) else f"no module named {package.module!r}"


def import_errors(modules: Sequence[str]) -> dict[str, str]:
    """Import every module in a process of its own, and say why those failed that did.

    They share a process, because what they import together is then read once; one that ends it is crashed, and the
    others go on in another.
    """
    errors: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        result = subprocess.run(
            [sys.executable, "-c", _IMPORT_ALL, *waiting],
            env=os.environ | variables_for_imports(),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        lines = [line.partition(" ") for line in result.stdout.splitlines()]
        told = {name: reason for name, _, reason in lines if name in waiting}
        errors |= {name: reason for name, reason in told.items() if reason}
        waiting = [name for name in waiting if name not in told]
        if waiting:
            errors[waiting.pop(0)] = f"it crashed, exit status {result.returncode}"
    return errors


def pinned_versions() -> dict[str, str]:
    """The version of each distribution that AstroEdge is tested with on this Python, from `tested.txt`."""
    other_python = 'python_version >= "3.11"' if sys.version_info < (3, 11) else 'python_version < "3.11"'
    lines = (Path(__file__).parents[1] / "tested.txt").read_text(encoding="utf-8").splitlines()
    pins = (line.partition(";")[0].strip().partition("==") for line in lines if not line.endswith(other_python))
    return {name: version for name, separator, version in pins if separator}
