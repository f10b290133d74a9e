"""Runs bundles and prints what came of it; with NumPy alone, so that the Python of a bare device can do it.

    python run_bundle.py FOLDER…        each FOLDER holds `step.astro`, `inputs.npz`, how many `threads` to take and,
                                        where a stream goes on, its `snapshot`

prints one JSON object: for each folder's name what `run_bundle` returns.
"""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

import astroedge
from astroedge.errors import IncompatibleError


def run_bundle(folder: Path) -> dict[str, Any]:
    """Replay the golden trace, if any, run all ticks of the inputs from a reset or a snapshot, and hash what comes out.

    A bundle that is refused gives its error under "refused" and nothing else.
    """
    try:
        session = astroedge.load(folder / "step.astro", threads=int((folder / "threads").read_text()))
    except IncompatibleError as error:
        return {"refused": str(error)}
    with session, np.load(folder / "inputs.npz") as inputs:
        golden = astroedge.verify(session).ok if session.manifest.golden.ticks else None
        if (folder / "snapshot").exists():
            session.restore((folder / "snapshot").read_bytes())
        session.reset_activity()
        outputs = session.run(**inputs)
        return {
            "golden": golden,
            "state": sha256(session.state).hexdigest(),
            "snapshot": sha256(session.snapshot()).hexdigest(),
            "outputs": {name: digest(array) for name, array in outputs.items()},
            "active": {name: count.active for name, count in session.activity().items()},
        }


def digest(array: np.ndarray) -> str:
    """SHA-256 of an array; any NaN counts as any other, because processors disagree on the sign of those they make."""
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), np.array(np.nan, array.dtype), array)
    return sha256(np.ascontiguousarray(array)).hexdigest()


if __name__ == "__main__":
    sys.stdout.write(json.dumps({Path(name).name: run_bundle(Path(name)) for name in sys.argv[1:]}))
