"""The tiny layer, as a bundle and in a fresh session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.runtimes.session.compiled import CompiledSession
from tests.support.bundles import make_tiny_bundle


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """The tiny layer."""
    return make_tiny_bundle(assets={"labels.txt": b"a\n"})


@pytest.fixture
def session(bundle: Bundle) -> Iterator[CompiledSession]:
    """A fresh session of it."""
    with astroedge.load(bundle) as opened:
        yield opened
