"""A folder as tests/support/gpu_child.py wants it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cuda_emulator.build_driver import build_driver
from tests.support.bundles import make_tiny_bundle
from tests.support.gpu_bundles import make_gpu_bundle, make_wide_bundle


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny layer for a GPU and for the processor, and a fake driver."""
    path = tmp_path_factory.mktemp("gpu")
    make_gpu_bundle().save(path / "gpu.astro")
    make_wide_bundle().save(path / "wide.astro")
    make_wide_bundle(2048, 1024).save(path / "middling.astro")
    make_tiny_bundle().save(path / "cpu.astro")
    build_driver(path)
    return path
