"""What importing AstroEdge pulls in: on a device NumPy and the standard library, nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.interpreters import packages_loaded_by, run_with_only

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
    "astroedge.runtimes.remote.serve",
    "astroedge.runtimes.checking.verify",
    "astroedge.session",
    "astroedge.step_profile",
    "astroedge.step.operator_page",
    "astroedge.step.operators",
    "astroedge.step.spec",
)


@pytest.mark.parametrize("module", DEVICE_SIDE)
def test_device_side_imports_with_numpy_alone(module: str) -> None:
    """Each module of the device imports where NumPy is the only package there is."""
    result = run_with_only(("numpy",), f"import {module}")
    assert result.returncode == 0, result.stderr


def test_importing_astroedge_is_light() -> None:
    """With everything installed, `import astroedge` and its loader still load no package but NumPy."""
    assert packages_loaded_by("import astroedge; astroedge.load") <= {"astroedge", "numpy"}


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


def test_what_an_interpreter_loads_by_itself_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `sitecustomize` like Debian's and what it imports are not counted, and are hidden where packages are hidden."""
    (tmp_path / "sitecustomize.py").write_text("import foreign, click", encoding="utf-8")
    (tmp_path / "foreign.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert packages_loaded_by("import psutil") == {"psutil"}
    assert "No module named 'click'" in run_with_only(("numpy",), "import click").stderr
