"""The C host that files of bad intent are given to."""

from __future__ import annotations

from pathlib import Path

import pytest

from astroedge.errors import LinkError
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.link.linker import find_linker
from tests.support.c_host import build_c_host, build_checked_host


@pytest.fixture(scope="session")
def checked_host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C host under the sanitizers where gcc has them, else as it is."""
    folder = tmp_path_factory.mktemp("host")
    try:
        return build_checked_host(folder)
    except LinkError:
        return build_c_host(find_linker(resolve_target("native")), folder, "-O1")
