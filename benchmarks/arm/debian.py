"""Debian's packages of any architecture in a folder, without rights and without a change to this system.

apt-get keeps a package database of its own beside the folder, which knows of no installed package; so what packages
depend on comes with them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory


class NoPackagesError(Exception):
    """A program of this machine is missing or failed; the message says which and why."""


def unpack(folder: Path, architecture: str, packages: Sequence[str], without: Sequence[str] = ()) -> None:
    """Make `folder` of `packages` and all they depend on, except those whose names are in `without`.

    Raises NoPackagesError without apt-get and dpkg-deb, or when a download fails.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise NoPackagesError("apt-get and dpkg-deb fetch the ARM tools, and this machine lacks them: use Debian")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix="partial-") as name:
        apt, root = Path(name, "apt"), Path(name, "root")
        options = _private_database(apt, architecture)
        call("apt-get", *options, "--quiet=2", "update")
        install = ("install", "--quiet=2", "--yes", "--download-only", "--no-install-recommends")
        call("apt-get", *options, *install, *packages)
        for part in ("bin", "lib", "sbin"):  # newer packages hold usr/lib alone and expect these links to be there
            (root / "usr" / part).mkdir(parents=True)
            (root / part).symlink_to(f"usr/{part}")
        for package in sorted((apt / "cache/archives").glob("*.deb")):
            if package.name.partition("_")[0] not in without:
                call("dpkg-deb", "--extract", str(package), str(root))
        os.rename(root, folder)


def _private_database(apt: Path, architecture: str) -> list[str]:
    """Options by which apt-get keeps all it writes below `apt`."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True)
    (apt / "status").touch()
    settings = {
        "Dir::State": apt / "state",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "1",
    }
    return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]


def call(*command: str, **variables: str) -> str:
    """What a program of this machine prints; NoPackagesError with its last error line when it fails."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", **variables}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        lines = result.stderr.strip().splitlines() or ["no message"]
        raise NoPackagesError(f"{Path(command[0]).name} failed: {lines[-1]}")
    return result.stdout
