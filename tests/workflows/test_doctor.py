from __future__ import annotations

import os
import pickle
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from ctypes.util import find_library
from importlib import metadata
from pathlib import Path

import pytest

from astroedge.workflows import doctor
from astroedge.workflows.doctor import (
    BROKEN,
    MISSING,
    OK,
    PACKAGES,
    UNTESTED,
    Finding,
    Package,
    pinned_versions,
)
from tests.support.places import ROOT


@pytest.fixture(scope="module")
def findings() -> dict[str, Finding]:
    """What the doctor finds here, by name, for a user without HOME whom no list of users knows."""
    code = (
        "import pickle, sys\n"
        "from tests.support.stranger import become_stranger\n"
        "become_stranger()\n"
        "from astroedge.workflows.doctor import examine\n"
        "sys.stdout.buffer.write(pickle.dumps(examine()))"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "USER", "LOGNAME")}
    environment |= {"TMPDIR": "/proc/nothing", "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    return {finding.name: finding for finding in pickle.loads(result.stdout)}


def test_everything_the_tests_run_on_is_found(findings: dict[str, Finding]) -> None:
    """Where these tests run, Python, processor, every package and a linker are in order."""
    needed = [
        "Python",
        "Processor",
        "temporary files",
        "linker, x86_64",
        "linker, aarch64",
        *(package.name for package in PACKAGES),
    ]
    assert {name: findings[name].state for name in needed if findings[name].state not in (OK, UNTESTED)} == {}
    assert all(findings[name].version for name in needed)


def test_every_gap_has_a_cure_and_every_finding_a_purpose(findings: dict[str, Finding]) -> None:
    """Nothing is reported that a reader could not act on."""
    assert all(finding.purpose for finding in findings.values())
    assert all(finding.cure for finding in findings.values() if finding.state != OK)


def test_every_package_has_a_tested_version() -> None:
    """The file that the constraints include names one version, for this Python, of each package that is looked at."""
    assert pinned_versions().keys() == {package.name for package in PACKAGES}
    assert "\n--constraint astroedge/workflows/tested.txt\n" in (ROOT / "constraints.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(("python", "numpy"), [((3, 10), "2.2.6"), ((3, 11), "2.4.6"), ((3, 14), "2.4.6")])
def test_tested_version_is_that_for_this_python(
    monkeypatch: pytest.MonkeyPatch, python: tuple[int, int], numpy: str
) -> None:
    """Where the version depends on Python, it is the one for the Python that runs."""
    monkeypatch.setattr(doctor.sys, "version_info", python)
    assert pinned_versions()["numpy"] == numpy


def test_doctor_knows_every_dependency() -> None:
    """No dependency of a device, a host or a host that compiles for GPUs is left out."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    base = re.search(r"^dependencies = \[(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    host = re.search(r"^host = \[(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    assert base
    cuda = re.search(r'^cuda = \["([\w-]+)', project, re.MULTILINE)
    assert host
    assert cuda
    named = {cuda[1], *re.findall(r'^    "([\w-]+)', base[1] + host[1], re.MULTILINE)}
    assert named - {"tomli"} == {package.name for package in PACKAGES}


@pytest.mark.skipif(find_library("cuda") is not None, reason="this machine has NVIDIA's driver")
def test_gpu_is_a_gap_only_where_there_should_be_one(tmp_path: Path) -> None:
    """A machine without anything of NVIDIA's lacks nothing; a Jetson without its driver does."""
    assert doctor._gpus(tmp_path) == []
    tree = tmp_path / "proc" / "device-tree" / "compatible"
    tree.parent.mkdir(parents=True)
    tree.write_bytes(b"raspberrypi,5-model-b\0brcm,bcm2712\0")
    assert doctor._gpus(tmp_path) == []
    tree.write_bytes(b"nvidia,p3768-0000+p3767-0005\0nvidia,tegra234\0")
    (finding,) = doctor._gpus(tmp_path)
    assert (finding.name, finding.state) == ("GPU", MISSING)
    assert "no NVIDIA driver" in finding.cure


def test_no_place_for_temporary_files_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one nothing is exported or compiled, so it is found missing, and the reason is kept."""
    monkeypatch.setattr(tempfile, "tempdir", "/proc/nothing")
    assert (doctor._temporary_files().state, doctor._temporary_files().cure) == (MISSING, "No such file or directory")


def test_package_that_is_not_installed_is_missing() -> None:
    """A missing package comes with the command that installs it."""
    finding = doctor._package(Package("no-such-package", "no_such_package", "nothing"), "1.0")
    assert (finding.state, finding.version, finding.cure) == (MISSING, "", 'pip install "astroedge[host]"')


def test_package_that_cannot_be_imported_is_broken() -> None:
    """An installed package whose import fails is not called ok; the reason is kept."""
    finding = doctor._package(Package("numpy", "no_such_module", "nothing"), "1.0")
    assert finding.state == BROKEN
    assert "No module named 'no_such_module'" in finding.cure


def test_other_version_is_untested_not_wrong() -> None:
    """A version that was not tested is said to be so, with the one that was."""
    finding = doctor._package(Package("numpy", "numpy", "nothing"), "0.1")
    assert (finding.state, finding.version, finding.cure) == (UNTESTED, metadata.version("numpy"), "tested: 0.1")


def test_missing_emulator_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without qemu the Debian package to install is named."""
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    finding = doctor._emulator("aarch64")
    assert finding.state == MISSING
    assert "qemu-user-static" in finding.cure


def test_old_c_library_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A C library older than bundles are linked for is not called ok."""
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.27"))
    assert doctor._c_library().state == UNTESTED
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert "glibc 2.28" in doctor._c_library().cure
