"""Who measured, when, with which versions, and the digests of what was measured."""

from __future__ import annotations

import platform
from datetime import datetime, timezone
from hashlib import sha256

import numpy as np

from astroedge import __version__
from astroedge.bundle.manifest import Manifest
from astroedge.bundle.manifest_file import encode_manifest, linked_digest
from astroedge.profile_parts import Host
from astroedge.runtimes.profiling.machine_watch import MachineWatch
from astroedge.runtimes.profiling.sensors import read_governor


def describe_host(watch: MachineWatch) -> Host:
    """This machine and these versions, and how the machine was when the watch began."""
    return Host(
        name=platform.node() or "unknown",
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        numpy=np.__version__,
        astroedge=__version__,
        governor=read_governor(watch.root),
        load=watch.load,
    )


def digests(manifest: Manifest) -> dict[str, str]:
    """SHA-256 of the bundle: of the manifest's file, which has those of all others, and of the main files.

    "bundle" is that of what the library was linked for, so it does not depend on who linked it.
    """
    return {
        "bundle": linked_digest(manifest),
        "library": manifest.library.sha256,
        "weights": manifest.weights.sha256,
        "manifest": sha256(encode_manifest(manifest)).hexdigest(),
    }
