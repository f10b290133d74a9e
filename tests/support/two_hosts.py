"""One bundle for both hosts, Python and C: what each says of it, as a code."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import astroedge
from astroedge.errors import AstroEdgeError


def code_of_python(folder: Path) -> int:
    """0 when a bundle loads, else the exit code of the error; what is no error of ours is raised."""
    try:
        astroedge.load(folder).close()
    except AstroEdgeError as error:
        code, said = error.exit_code, str(error)
    else:
        return 0
    assert said.isprintable(), said
    return code


def code_of_c(program: Path, folder: Path) -> int:
    """0 when a bundle loads and makes a tick, else the exit code.

    Raises AssertionError for a host that is ended by a sanitizer or a signal, or says more than one line.
    """
    command = [program, folder, "--hash", "1"]
    result = subprocess.run(command, check=False, capture_output=True, timeout=60)
    said = result.stderr.decode("utf-8", "replace")
    line = "" if result.returncode == 0 else r"astro-run: [^\n]*\n"
    assert re.fullmatch(line, said), said
    assert 0 <= result.returncode < 128, said
    return result.returncode
