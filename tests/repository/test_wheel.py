"""What users install: the source archive, the wheel built from it, and both in environments that hold nothing else.

Environments are made for every Python from 3.10 that this machine has, and filled by pip with the constrained versions.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from astroedge import __version__
from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import BundleFiles
from astroedge.errors import MissingDependencyError
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.link.linker import link_library
from tests.support.bundles import FEATURES, TINY_TICK, TOKENS, TinyModel, compile_tick, tiny_manifest, weights_bytes
from tests.support.interpreters import naming_packages, packages_named
from tests.support.places import ROOT

ZOO = ROOT / "examples" / "zoo"
ZOO_MOST_BYTES = 10_000_000  # of the wheel with the trained networks
STAGES = ("exporters", "runtimes", "targets")
DEVICE_MINORS = (10, 11, 12, 13, 14)

RUN_BUNDLE = """
import sys
import numpy as np
import astroedge

given = np.load(sys.argv[1] + "/given.npz")
with astroedge.load(sys.argv[1] + "/tiny.astro") as session:
    ticks = [session.step(token=t, x=x, gate=g)["y"] for t, x, g in zip(given["token"], given["x"], given["gate"])]
np.save(sys.argv[2], np.stack(ticks))
assert "site-packages" in astroedge.__file__, astroedge.__file__
"""


@dataclass(frozen=True)
class Built:
    """The source tree that was packed, the source archive, the wheel made from it and the wheel made from the tree.

    `zoo` is the wheel of the trained networks.
    """

    tree: Path
    sdist: Path
    wheel: Path
    tree_wheel: Path
    zoo: Path


@dataclass(frozen=True)
class Environment:
    """A virtual environment outside the repository."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def install(self, *requirements: str) -> None:
        """Install with the pip that runs the tests; the environment has none of its own."""
        options = [
            "--disable-pip-version-check",
            "--no-compile",
            "--quiet",
            "--constraint",
            str(ROOT / "constraints.txt"),
        ]
        run([sys.executable, "-m", "pip", "--python", str(self.python), "install", *options, *requirements])

    def run(self, *arguments: str, expect: int = 0) -> str:
        """What its interpreter prints, run in a folder where nothing can be found by accident."""
        return run([str(self.python), *arguments], cwd=self.folder, expect=expect)


def run(command: list[str], cwd: Path | None = None, expect: int = 0) -> str:
    """Standard output of a command that must exit with `expect`."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COV_"))}
    result = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert result.returncode == expect, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def find_python(minor: int) -> str | None:
    """An interpreter of Python 3.`minor`: this one, one on the path, or one of pyenv's."""
    if sys.version_info[1] == minor:
        return sys.executable
    installed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(f"python3.{minor}"), *sorted(map(str, installed.glob(f"3.{minor}.*/bin/python")))]
    for path in filter(None, candidates):
        found = subprocess.run([path, "-c", "import sys; print(sys.version_info[1])"], capture_output=True, check=False)
        if found.stdout.strip() == str(minor).encode():
            return path
    return None


def make_environment(folder: Path, python: str = sys.executable) -> Environment:
    """An empty environment of some Python."""
    run([python, "-m", "venv", "--without-pip", str(folder)])
    return Environment(folder)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Everything packed once, from a copy of the source tree."""
    tree, dist, other, zoo = (tmp_path_factory.mktemp(name) for name in ("tree", "dist", "other", "zoo"))
    for name in ("astroedge", *STAGES):
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    run([sys.executable, "-m", "build", "--outdir", str(dist), str(tree)])
    run([sys.executable, "-m", "build", "--wheel", "--outdir", str(other), str(tree)])
    shutil.copytree(ZOO, zoo / "tree", ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    run([sys.executable, "-m", "build", "--wheel", "--outdir", str(zoo), str(zoo / "tree")])
    wheels = (next(folder.glob("*.whl")) for folder in (dist, other, zoo))
    return Built(tree, next(dist.glob("*.tar.gz")), *wheels)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle for this machine, data for 50 ticks, and what the same model in NumPy makes of them."""
    folder = tmp_path_factory.mktemp("tiny")
    native = resolve_target("native")
    manifest = tiny_manifest(native)
    library = link_library(compile_tick(TINY_TICK, native), manifest, native)
    Bundle(manifest, BundleFiles(library, weights_bytes())).save(folder / "tiny.astro")
    draw = np.random.default_rng(3)
    token = draw.integers(0, TOKENS, (50, 1))
    x = draw.uniform(-1, 1, (50, 1, FEATURES)).astype(np.float32)
    gate = draw.uniform(-1, 1, (50, 2)).astype(np.float16)
    np.savez(folder / "given.npz", token=token, x=x, gate=gate)
    model = TinyModel()
    expected = np.stack([model.step(int(t[0]), a, b)[0] for t, a, b in zip(token, x, gate, strict=True)])
    assert np.any(expected)
    np.save(folder / "expected.npy", expected)
    return folder


def wheel_files(path: Path) -> dict[str, bytes]:
    """The package's files in a wheel, without its metadata."""
    with zipfile.ZipFile(path) as wheel:
        names = [name for name in wheel.namelist() if ".dist-info/" not in name]
        assert len(names) == len(set(names)), "a file is in the wheel twice"
        return {name: wheel.read(name) for name in names}


def package_files(tree: Path) -> dict[str, bytes]:
    """The files of the source tree that make the package, by their names inside it."""
    files: dict[str, bytes] = {}
    for top in ("astroedge", *STAGES):
        prefix = Path("astroedge") / top if top in STAGES else Path(top)
        for folder, _, names in os.walk(tree / top, followlinks=False):
            inside = prefix / Path(folder).relative_to(tree / top)
            files |= {str(inside / name): (Path(folder) / name).read_bytes() for name in names}
    return files


def test_wheel_holds_every_file_of_the_package(built: Built) -> None:
    """No file drops out on the way into the wheel, Python or data, and none is added."""
    expected = {
        name: content for name, content in package_files(built.tree).items() if "astroedge.egg-info" not in name
    }
    assert sorted(wheel_files(built.wheel)) == sorted(expected)
    assert wheel_files(built.wheel) == expected
    assert {Path(name).suffix for name in expected} >= {".py", ".toml", ".c", ".h", ".json", ".typed"}
    assert [name for name in expected if name.endswith(".safetensors")] == [], "weights belong into astroedge-zoo"


def test_wheel_of_the_zoo_holds_the_trained_networks_alone(built: Built) -> None:
    """It has the files of its package and nothing that trains them, stays small, and is of the version of AstroEdge."""
    package = ZOO / "astroedge_zoo"
    files = [path for path in sorted(package.iterdir()) if path.suffix in (".py", ".json", ".safetensors")]
    assert wheel_files(built.zoo) == {f"astroedge_zoo/{path.name}": path.read_bytes() for path in files}
    assert {path.stem for path in package.glob("*.json")} == {path.stem for path in package.glob("*.safetensors")}
    assert built.zoo.stat().st_size <= ZOO_MOST_BYTES
    assert built.zoo.name == f"astroedge_zoo-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(built.zoo) as wheel:
        licence = f"astroedge_zoo-{__version__}.dist-info/licenses/LICENSE"
        assert wheel.read(licence) == (ROOT / "LICENSE").read_bytes()


def test_wheel_from_the_source_archive_is_the_wheel_from_the_tree(built: Built) -> None:
    """The source archive is complete: what is built from it equals what is built from the repository."""
    assert wheel_files(built.wheel) == wheel_files(built.tree_wheel)


def test_source_archive_holds_no_file_twice(built: Built) -> None:
    """The linked folders are packed once, under their own names."""
    with tarfile.open(built.sdist) as archive:
        names = [member.name.partition("/")[2] for member in archive if member.isfile()]
    assert len(names) == len(set(names))
    assert [name for name in names if name.startswith(tuple(f"astroedge/{stage}/" for stage in STAGES))] == []


@pytest.mark.parametrize("minor", DEVICE_MINORS)
def test_bundle_runs_where_numpy_is_the_only_package(built: Built, tiny: Path, tmp_path: Path, minor: int) -> None:
    """On every Python a device may have, the wheel and NumPy load and run a bundle, with the very bits expected."""
    python = find_python(minor)
    if python is None:
        pytest.skip(f"no Python 3.{minor} on this machine")
    environment = make_environment(tmp_path / "env", python)
    environment.install("--no-deps", "numpy", str(built.wheel))
    output = environment.run("-c", naming_packages(RUN_BUNDLE), str(tiny), str(tmp_path / "result.npy"))
    assert packages_named(output) <= {"astroedge", "numpy"}
    assert np.load(tmp_path / "result.npy").tobytes() == np.load(tiny / "expected.npy").tobytes()


def test_command_line_works_with_the_base_dependencies(built: Built, tmp_path: Path) -> None:
    """Installed as users do on a device, the console script answers, refuses host work in one line, lists the zoo."""
    environment = make_environment(tmp_path / "env")
    environment.install(str(built.wheel))
    script = str(environment.folder / "bin" / "astroedge")
    assert "profile" in run([script, "--help"], cwd=tmp_path)
    assert "raspberry-pi-4" in run([script, "targets", "list"], cwd=tmp_path)
    assert "missing" in run([script, "doctor"], cwd=tmp_path)
    assert environment.run("-m", "astroedge", "--version").split()[-1] == "0.1.0"
    run([script, "zoo"], cwd=tmp_path, expect=MissingDependencyError.exit_code)
    environment.install("--no-deps", str(built.zoo))
    listed = json.loads(run([script, "zoo", "--json", "-"], cwd=tmp_path))
    assert [record["name"] for record in listed["networks"]] == sorted(path.stem for path in ZOO.glob("*/*.json"))


def test_editable_install_serves_every_folder(built: Built, tmp_path: Path) -> None:
    """After `pip install --editable`, stages and their data are found from any working directory."""
    environment = make_environment(tmp_path / "env")
    environment.install("--no-deps", "numpy", "--editable", str(built.tree))
    code = """
import importlib.util
import astroedge.targets.boards.target as target
assert all(importlib.util.find_spec("astroedge." + stage).origin for stage in ("exporters", "runtimes", "targets"))
print(len(target.list_targets()), target.__file__)
"""
    count, path = environment.run("-c", code).split()
    assert int(count) >= 10
    assert Path(path).resolve() == built.tree / "targets" / "boards" / "target.py"
