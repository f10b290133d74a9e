"""The C host that files of bad intent are given to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.c_host import build_checked_host


@pytest.fixture(scope="session")
def checked_host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C host under the sanitizers where gcc has them, else as it is."""
    return build_checked_host(tmp_path_factory.mktemp("host"))
