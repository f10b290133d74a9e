"""Manifests that were edited and given a right digest: refused in one line, or as good as the one before."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest

import astroedge
from astroedge.abi.limits import LARGEST_MANIFEST
from astroedge.bundle.container import Bundle
from astroedge.errors import AstroEdgeError, BundleError
from tests.support.bundles import make_tiny_bundle
from tests.support.forged_manifests import edits, forge, relink, remove_libraries, seal, write

NATIVE = ("layout", "library", "weights", "abi_version", "version", "golden")
"""What native code is handed, or tells of itself: there no other value will do."""
NAMES_ALONE = (("layout", "weights"), ("golden", "parity"))
"""Of those, what only reports show."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle in a folder of its own."""
    folder = tmp_path_factory.mktemp("forged") / "tiny.astro"
    make_tiny_bundle().save(folder)
    return folder


@pytest.fixture(scope="module")
def original(bundle: Path) -> bytes:
    """Its manifest as it was."""
    return (bundle / "manifest.json").read_bytes()


def _said(folder: Path) -> str:
    """What is said of a bundle that does not load or does not step; nothing of one that does."""
    try:
        with astroedge.load(folder) as session:
            session.step(**{item.name: np.zeros(item.shape, item.dtype) for item in session.spec.inputs})
    except AstroEdgeError as error:
        return str(error)
    return ""


@pytest.mark.compiles
def test_edited_values_are_refused_in_one_line(bundle: Path, original: bytes) -> None:
    """Whatever stands at any place of it, and were the library linked for it, it loads and steps, or is one line."""
    told, accepted = {}, set()
    for place, value, record in edits(json.loads(original)):
        content = write(record)
        if content == original:
            continue
        forge(bundle, content)
        said = _said(bundle)
        if "linked for another" in said:
            relink(bundle, original, content)
            said = _said(bundle)
            remove_libraries(bundle, original)
        if said:
            told[place, repr(value)[:40]] = said
        else:
            accepted.add(place)
    forge(bundle, original)
    assert [said for said in told.values() if not said.isprintable()] == []
    assert len(told) > 1000
    assert not {place for place in accepted if place[0] in NATIVE and place[:2] not in NAMES_ALONE}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b'"version": 1,', b'"version": 1, "version": 1,', "stands twice"),
        (b'"seed": ', b'"seed": NaN, "x": ', "NaN"),
        (b'"version": 1,', b'"version": true,', "not written as AstroEdge writes it"),
        (b'"threads": 1,', b'"threads": 1.0,', "threads"),
        (b'"low": 0,', b'"low": 1e999,', "low"),
        (b'"probes": false', b'"probes": 0', "probes"),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(
    bundle: Path, original: bytes, old: bytes, new: bytes, said: str
) -> None:
    """A name that stands twice, no number, truth for a number: none of them is taken for something."""
    assert old in original
    forge(bundle, seal(original.replace(old, new, 1)))
    with pytest.raises(BundleError, match=said):
        astroedge.load(bundle)
    forge(bundle, original)


def test_nesting_without_end_and_a_manifest_without_end_are_refused(bundle: Path, original: bytes) -> None:
    """Neither is read further than it must be."""
    forge(bundle, seal(original.replace(b'"probes": false', b'"probes": ' + b"[" * 100_000 + b"]" * 100_000, 1)))
    with pytest.raises(BundleError, match="nested too deeply"):
        astroedge.load(bundle)
    os.truncate(bundle / "manifest.json", LARGEST_MANIFEST + 1)
    with pytest.raises(BundleError, match="too large"):
        astroedge.load(bundle)
    forge(bundle, original)


def test_only_a_bundle_of_ours_is_replaced(tmp_path: Path) -> None:
    """A folder with another manifest.json, of a web page for example, is not saved over, nor are its files touched."""
    folder = tmp_path / "page"
    asset = folder / "assets" / "0123456789abcdef-logo.png"
    asset.parent.mkdir(parents=True)
    asset.write_bytes(b"logo")
    (folder / "manifest.json").write_text('{"name": "page", "format": "astroedge-bundle"}')
    with pytest.raises(BundleError, match=r"holds 'manifest.json' and is no bundle"):
        make_tiny_bundle().save(folder)
    assert asset.read_bytes() == b"logo"
    assert json.loads((folder / "manifest.json").read_text())["name"] == "page"


@pytest.mark.compiles
def test_loading_beside_a_saver_never_fails(tmp_path: Path, bundle: Path) -> None:
    """A bundle that is replaced while it is opened is opened again."""
    folder = tmp_path / "busy.astro"
    kinds = [make_tiny_bundle(), Bundle.load(bundle)]
    kinds[0].save(folder)
    ends = threading.Event()

    def save() -> None:
        while not ends.is_set():
            for kind in kinds:
                kind.save(folder)

    savers = [threading.Thread(target=save) for _ in range(3)]
    for saver in savers:
        saver.start()
    try:
        for _ in range(60):
            astroedge.load(folder).close()
    finally:
        ends.set()
        for saver in savers:
            saver.join()
