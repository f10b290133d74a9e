from __future__ import annotations

import json
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

import jsonschema
import pytest

from astroedge.workflows.doctor import examine as doctor
from astroedge.workflows.doctor import packages
from astroedge.workflows.doctor.findings import BROKEN, HOST, MISSING, OK, UNTESTED, Finding, to_json
from astroedge.workflows.doctor.packages import (
    PACKAGES,
    Package,
    find_extras,
    find_packages,
    import_errors,
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
        "from astroedge.workflows.doctor.examine import examine\n"
        "sys.stdout.buffer.write(pickle.dumps(examine(imports=True)))"
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
    monkeypatch.setattr(packages.sys, "version_info", python)
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


def test_a_missing_extra_is_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each extra says what it is for; one whose packages are missing says how to get it, and nothing is not working."""
    assert {finding.name for finding in find_extras()} == {"report", "text", "events", "cuda", "zoo"}
    monkeypatch.setattr(packages, "EXTRAS", {"report": (("json", "no_such_package"), "pages")})
    (finding,) = find_extras()
    assert (finding.state, finding.is_gap, finding.cure) == (MISSING, False, 'pip install "astroedge[report]"')
    assert to_json([finding])["ok"] == {"device": True, "host": True}


def test_package_that_is_not_installed_is_missing() -> None:
    """A missing package comes with the command that installs it, whether or not packages are imported."""
    wanted = [Package("no-such-package", "no_such_package", "nothing")]
    for imports in (False, True):
        (finding,) = find_packages(imports, wanted)
        assert (finding.state, finding.version, finding.cure) == (MISSING, "", 'pip install "astroedge[host]"')


def test_package_that_cannot_be_imported_is_broken() -> None:
    """An installed package whose import fails is not called ok; the reason is kept."""
    for imports in (False, True):
        (finding,) = find_packages(imports, [Package("numpy", "no_such_module", "nothing")])
        assert finding.state == BROKEN
        assert "no_such_module" in finding.cure


def test_import_that_ends_the_process_is_found_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that crashes, one that raises and those that work are told apart, and the working directory is not asked."""
    (tmp_path / "crashes.py").write_text("import os; os.abort()")
    (tmp_path / "raises.py").write_text("raise OSError('no\\nlibrary')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    errors = import_errors(["json", "crashes", "raises", "csv"])
    assert errors == {"crashes": "it crashed, exit status -6", "raises": "OSError: no library"}
    monkeypatch.delenv("PYTHONPATH")
    monkeypatch.chdir(tmp_path)
    assert "No module named 'crashes'" in import_errors(["crashes"])["crashes"]


def test_other_version_is_untested_not_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that was not tested is said to be so, with the one that was."""
    monkeypatch.setattr(packages, "pinned_versions", lambda: {"numpy": "0.1"})
    (finding,) = find_packages(False, [Package("numpy", "numpy", "nothing")])
    assert (finding.state, finding.version, finding.cure) == (UNTESTED, metadata.version("numpy"), "tested: 0.1")


def test_findings_as_json_follow_their_schema(findings: dict[str, Finding]) -> None:
    """What `--json` writes is what the schema says, and a gap makes it not ok."""
    schema = json.loads((ROOT / "astroedge" / "schemas" / "doctor.schema.json").read_text(encoding="utf-8"))
    gap = Finding(HOST, "x", MISSING, "", "nothing", "install it")
    for record in (to_json([*findings.values()]), to_json([gap])):
        jsonschema.validate(record, schema)
    assert record["ok"] == {"device": True, "host": False}


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
