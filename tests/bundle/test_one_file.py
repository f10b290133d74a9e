"""Bundles in one file: the same bundle as a folder has, read in place, and every damage found."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from astroedge.abi.aligned import address_of
from astroedge.bundle.container import Bundle
from astroedge.bundle.one_file import BundleFile, is_archive
from astroedge.errors import BundleError
from astroedge.runtimes import load
from tests.support.bundles import make_tiny_bundle, weights_bytes
from tests.support.small_disk import small_disk

LABELS = {"labels.txt": b"one\ntwo\n", "tokenizer.json": b"{}"}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """A complete bundle in memory, with two assets."""
    return make_tiny_bundle(assets=LABELS)


@pytest.fixture
def file(bundle: Bundle, tmp_path: Path) -> Path:
    """The same bundle in one file."""
    path = tmp_path / "tiny.astro"
    bundle.save(path, one_file=True)
    return path


def assert_refused(path: Path, match: str) -> None:
    """Loading gives one BundleError of one line."""
    with pytest.raises(BundleError, match=match) as caught:
        Bundle.load(path).check()
    assert "\n" not in str(caught.value)


def test_file_has_what_the_folder_has(bundle: Bundle, file: Path, tmp_path: Path) -> None:
    """Every file of a bundle is read back equal, any zip program sees them, and a folder saved from it is the same."""
    again = Bundle.load(file)
    assert again.manifest == bundle.manifest
    assert again.library() == bundle.library()
    assert bytes(again.weights().data) == weights_bytes()
    assert {name: again.asset(name) for name in LABELS} == LABELS
    again.check()
    assert file.stat().st_mode & 0o777 == 0o666 & ~_umask()
    again.save(tmp_path / "folder.astro")
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        for entry in archive.infolist():
            assert archive.read(entry) == (tmp_path / "folder.astro" / entry.filename).read_bytes()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_same_bundle_is_the_same_bytes(bundle: Bundle, file: Path, tmp_path: Path) -> None:
    """Neither the time nor the order of assets reaches the file."""
    Bundle.load(file).save(tmp_path / "again.astro", one_file=True)
    assert (tmp_path / "again.astro").read_bytes() == file.read_bytes()


def test_session_of_a_file_has_the_bits_of_a_folders(bundle: Bundle, file: Path) -> None:
    """Weights are read, or mapped where they lie, aligned as kernels want them, and the step is the same."""
    x = {"x": np.ones((3, 1, 8), np.float32), "token": np.zeros((3, 1), np.int64), "gate": np.ones((3, 2), np.float16)}
    with load(bundle) as session:
        expected = session.run(**x)
    for trust in (False, True):
        with load(file, trust_weights=trust) as session:
            assert all(np.array_equal(value, expected[name]) for name, value in session.run(**x).items())
        assert address_of(Bundle.load(file).weights(trust=trust)) % 64 == 0


def test_every_flipped_bit_is_found(bundle: Bundle, file: Path) -> None:
    """One bit changed anywhere is one line of an error or nothing that the bundle reads; nothing else is raised."""
    content = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        starts = [member.start for member in BundleFile.read(file).members.values()]
        headers = [
            place
            for entry, start in zip(archive.infolist(), starts, strict=True)
            for place in range(entry.header_offset, start)
        ]
        directory = range(archive.start_dir, len(content))
    draw = np.random.default_rng(3)
    places = [*headers[::17], *directory[::3], *draw.integers(0, len(content), 40).tolist()]
    refused: list[str] = []
    for place in places:
        bit = 1 << int(draw.integers(8))
        content[place] ^= bit
        file.write_bytes(content)
        try:
            found = Bundle.load(file)
            found.check()
            assert found.manifest == bundle.manifest
        except BundleError as error:
            refused.append(str(error))
        content[place] ^= bit
    assert len(refused) > len(places) // 3
    assert not any("\n" in line for line in refused)


def _packed(path: Path, kind: int) -> None:
    source = zipfile.ZipFile(path)
    members = {entry.filename: source.read(entry) for entry in source.infolist()}
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _twice(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("manifest.json", b"{}")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "compressed": (lambda path: _packed(path, zipfile.ZIP_DEFLATED), "is compressed"),
    "a name twice": (_twice, "twice"),
    "cut short": (lambda path: os.truncate(path, path.stat().st_size // 2), "damaged"),
    "empty": (lambda path: os.truncate(path, 0), "neither a folder nor a zip file"),
    "text": (lambda path: path.write_text("hello"), "neither a folder nor a zip file"),
    "no manifest": (lambda path: zipfile.ZipFile(path, "w").writestr("a", b""), "it has no manifest.json"),
}


@pytest.mark.parametrize(("damage", "match"), DAMAGES.values(), ids=DAMAGES)
def test_what_is_no_whole_bundle_is_refused(file: Path, damage: Callable[[Path], object], match: str) -> None:
    """Each is one line that says what is wrong with the file."""
    damage(file)
    assert_refused(file, match)


def test_packed_by_any_program_is_taken(file: Path) -> None:
    """A folder that was packed without compression by something else is a bundle too."""
    _packed(file, zipfile.ZIP_STORED)
    Bundle.load(file).check()


def test_file_that_shrinks_after_loading_is_refused(file: Path) -> None:
    """Mapping what was cut would end the process; it is an error instead."""
    loaded = Bundle.load(file)
    os.truncate(file, 4096)
    with pytest.raises(BundleError, match="cut short"):
        loaded.weights(trust=True)


def test_only_a_bundle_in_one_file_is_replaced(bundle: Bundle, file: Path, tmp_path: Path) -> None:
    """A folder, and a file that is none of ours, stay; each refusal says what to do."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BundleError, match="is a folder"):
        bundle.save(tmp_path / "folder", one_file=True)
    with pytest.raises(BundleError, match="no bundle"):
        bundle.save(tmp_path / "notes.txt", one_file=True)
    with pytest.raises(BundleError, match="--zip"):
        bundle.save(file)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    bundle.save(file, one_file=True)
    assert is_archive(file)


def test_full_disk_leaves_the_old_file(bundle: Bundle, tmp_path: Path) -> None:
    """What does not fit is one line, and the bundle that was there is as before."""
    with small_disk(tmp_path / "disk", "200k") as disk:
        path = disk / "tiny.astro"
        bundle.save(path, one_file=True)
        before = path.read_bytes()
        (disk / "filler").write_bytes(bytes(max(0, 204_800 - 2 * len(before) + 8192)))
        with pytest.raises(BundleError, match="No space left"):
            bundle.save(path, one_file=True)
        assert path.read_bytes() == before
        assert sorted(item.name for item in disk.iterdir()) == ["filler", "tiny.astro"]
