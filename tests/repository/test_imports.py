"""What importing AstroEdge pulls in: on a device NumPy and the standard library, nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.places import ROOT

# Everything a device runs, and the table of operators. Each must import where NumPy is the only package.
DEVICE_SIDE = (
    "astroedge",
    "astroedge.bundle.container",
    "astroedge.errors",
    "astroedge.bundle.manifest",
    "astroedge.runtimes",
    "astroedge.runtimes.session.compiled",
    "astroedge.runtimes.profiling.profiler",
    "astroedge.runtimes.profiling.sensors",
    "astroedge.runtimes.checking.verify",
    "astroedge.session",
    "astroedge.step_profile",
    "astroedge.step.operator_page",
    "astroedge.step.operators",
    "astroedge.step.spec",
)

# A finder that stands before all others and hides every package but those allowed.
ONLY = """
import sys
allowed = {{*sys.stdlib_module_names, "astroedge", {names}}}
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in allowed:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hide())
"""


def run_with_only(packages: tuple[str, ...], code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter in which no package can be imported but the named ones and astroedge."""
    prelude = ONLY.format(names=", ".join(map(repr, packages)))
    command = [sys.executable, "-c", prelude + code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", DEVICE_SIDE)
def test_device_side_imports_with_numpy_alone(module: str) -> None:
    """Each module of the device imports where NumPy is the only package there is."""
    result = run_with_only(("numpy",), f"import {module}")
    assert result.returncode == 0, result.stderr


def test_importing_astroedge_is_light() -> None:
    """With everything installed, `import astroedge` and its loader still load no package but NumPy."""
    code = """
import sys
before = set(sys.modules)
import astroedge
astroedge.load
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*(loaded - set(sys.stdlib_module_names)))
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert set(result.stdout.split()) <= {"astroedge", "numpy"}


@pytest.mark.parametrize("call", ["export(None, ())", "compile('net.onnx')", "StepGraph.load('net.onnx')"])
def test_host_work_on_a_device_names_the_extra(call: str) -> None:
    """Asking a device for what only the host does is one clear error that names the extra to install."""
    code = f"""
import astroedge
try:
    astroedge.{call}
except astroedge.errors.MissingDependencyError as error:
    print(error)
"""
    result = run_with_only(("numpy",), code)
    assert result.returncode == 0, result.stderr
    assert 'pip install "astroedge[host]"' in result.stdout


def test_command_line_starts_with_the_base_packages() -> None:
    """The command line answers where only the base dependencies are installed."""
    base = ("numpy", "click", "rich", "psutil", "tomli", "pygments", "markdown_it", "mdurl")
    code = "import astroedge.cli; sys.argv = ['astroedge', '--help']; astroedge.cli.main()"
    result = run_with_only(base, code)
    assert result.returncode == 0, result.stderr
    assert "profile" in result.stdout
