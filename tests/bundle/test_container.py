"""Bundles in memory and on disk: saving is all or nothing, and every damage is found when loading."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from astroedge.abi.aligned import address_of
from astroedge.bundle.container import Bundle
from astroedge.errors import BundleError
from astroedge.runtimes import load
from tests.support.bundles import edited, make_tiny_bundle, weights_bytes
from tests.support.places import ROOT
from tests.support.small_disk import small_disk

LABELS = {"labels.txt": b"one\ntwo\n", "tokenizer.json": b"{}"}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """A complete bundle in memory, with two assets."""
    return make_tiny_bundle(assets=LABELS)


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path) -> Path:
    """The same bundle on disk."""
    path = tmp_path / "tiny.astro"
    bundle.save(path)
    return path


def other_bundle(bundle: Bundle) -> Bundle:
    """A bundle whose files all differ from the first one's, of equal model."""
    weights = np.frombuffer(weights_bytes(), np.uint8).copy()
    weights[0] ^= 1
    return edited(bundle, weights.tobytes(), {"labels.txt": b"other\n"})


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def assert_refused(folder: Path, match: str) -> None:
    """Loading gives one BundleError of one line."""
    with pytest.raises(BundleError, match=match) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_round_trip(bundle: Bundle, folder: Path) -> None:
    """A saved bundle is read back equal, in files named by content, and saves again to the same bytes."""
    again = Bundle.load(folder)
    assert again.manifest == bundle.manifest
    assert again.path == folder
    assert again.library() == bundle.library()
    assert bytes(again.weights().data) == weights_bytes()
    assert {name: again.asset(name) for name in LABELS} == LABELS
    again.check()
    names = sorted(contents(folder))
    manifest = bundle.manifest
    assert names == sorted(
        [
            "manifest.json",
            f"step-{manifest.library.sha256[:16]}.so",
            f"weights-{manifest.weights.sha256[:16]}.bin",
            *(f"assets/{record.sha256[:16]}-{record.name}" for record in manifest.assets),
        ]
    )
    before = contents(folder)
    again.save(folder)
    assert contents(folder) == before


def test_weights_are_mapped_aligned_and_read_only(bundle: Bundle, folder: Path) -> None:
    """Weights start at a multiple of 64 and cannot be written, from memory and from disk."""
    for weights in (bundle.weights(), Bundle.load(folder).weights()):
        assert address_of(weights) % 64 == 0
        assert not weights.flags.writeable


def test_replacing_removes_the_old_files(bundle: Bundle, folder: Path) -> None:
    """After a save the folder holds the new bundle's files and no others of the old one; foreign files stay."""
    (folder / "notes.txt").write_text("mine")
    (folder / ".new-0123456789abcdef0123456789abcdef").write_text("left by a killed save")
    new = other_bundle(bundle)
    new.save(folder)
    Bundle.load(folder).check()
    assert len(contents(folder)) == 3 + 1 + 1
    assert (folder / "notes.txt").read_text() == "mine"


def test_unknown_asset_is_refused(bundle: Bundle) -> None:
    """Asking for an asset that is not there lists those that are."""
    with pytest.raises(BundleError, match=r"labels\.txt, tokenizer\.json"):
        bundle.asset("label.txt")


@pytest.mark.parametrize("trust", [False, True])
def test_truncated_weights_are_refused(folder: Path, trust: bool) -> None:
    """A weights file that is cut short is refused, trusted or not."""
    path = next(folder.glob("weights-*"))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BundleError, match="cut short"):
        load(folder, trust_weights=trust)


def test_flipped_byte_in_any_file_is_refused(folder: Path) -> None:
    """One changed byte, in any file of the bundle, at any of many places, is found when loading."""
    for name, content in contents(folder).items():
        for place in {0, len(content) - 1, *range(0, len(content), max(1, len(content) // 25))}:
            damaged = bytearray(content)
            damaged[place] ^= 0x20
            (folder / name).write_bytes(damaged)
            assert_refused(folder, "digest|not JSON|version|manifest")
        (folder / name).write_bytes(content)
    load(folder).close()


def test_trusted_weights_are_not_hashed(folder: Path) -> None:
    """trust_weights leaves out exactly the weights' digest."""
    path = next(folder.glob("weights-*"))
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    load(folder, trust_weights=True).close()
    assert_refused(folder, "weights-.* does not match its digest")


def test_a_path_where_nothing_is_is_no_damaged_bundle(tmp_path: Path) -> None:
    """What is not there is said to be missing, not to lack a manifest."""
    with pytest.raises(BundleError, match=r"There is no bundle .*nothing\.astro; check the path"):
        Bundle.load(tmp_path / "nothing.astro")


def test_missing_files_are_named(folder: Path, tmp_path: Path) -> None:
    """A bundle without its manifest, library, weights or an asset is refused by name."""
    assert_refused(tmp_path / "nothing", "is no bundle")
    for name in sorted(contents(folder)):
        path = folder / name
        path.rename(tmp_path / "away")
        assert_refused(folder, "is no bundle" if name == "manifest.json" else f"{path.name} is missing")
        (tmp_path / "away").rename(path)


def test_links_are_refused(folder: Path, tmp_path: Path) -> None:
    """Files and folders of a bundle are its own: a symbolic link is refused even when what it shows is right."""
    for name in sorted(contents(folder)):
        path = folder / name
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
        assert_refused(folder, "plain files")
        path.unlink()
        (tmp_path / "elsewhere").rename(path)
    (folder / "assets").rename(tmp_path / "assets")
    (folder / "assets").symlink_to(tmp_path / "assets")
    assert_refused(folder, "symbolic link")


def test_a_save_replaces_links_and_waits_for_no_pipe(bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    """A link under a file's name gives way to the file, and what it led to stays; a pipe there is no bundle of ours."""
    name = next(path.name for path in folder.glob("weights-*"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"somebody's")
    (folder / name).unlink()
    (folder / name).symlink_to(elsewhere)
    bundle.save(folder)
    assert elsewhere.read_bytes() == b"somebody's"
    load(folder).close()
    piped = tmp_path / "piped"
    piped.mkdir()
    os.mkfifo(piped / "manifest.json")
    with pytest.raises(BundleError, match="no regular file"):
        bundle.save(piped)


def test_special_files_are_refused(folder: Path) -> None:
    """A pipe under a file's name is refused at once instead of waiting for a writer."""
    path = next(folder.glob("step-*"))
    path.unlink()
    os.mkfifo(path)
    assert_refused(folder, "not a regular file")


def test_folder_with_other_things_is_not_taken(bundle: Bundle, tmp_path: Path) -> None:
    """Saving into a folder of other files, or over a file, is refused and changes nothing."""
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(BundleError, match=r"thesis\.txt"):
        bundle.save(tmp_path)
    with pytest.raises(BundleError, match="is a file; choose"):
        bundle.save(tmp_path / "thesis.txt")
    with pytest.raises(BundleError, match="cannot be written"):
        bundle.save(tmp_path / "no" / "such" / "parent")
    assert contents(tmp_path) == {"thesis.txt": b"mine"}


# Saves the new bundle over the old one again and again, each time in a process of its own that ends, by a kill or by
# Ctrl-C, one moment later: at the N-th time it opens, renames or removes a file. Prints what the folder then holds.
ENDED_SAVES = """
import os, sys
from pathlib import Path
from astroedge.bundle.container import Bundle
old, new, target = Bundle.load(sys.argv[1]), Bundle.load(sys.argv[2]), Path(sys.argv[3])

def names():
    return sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())

def save_until(moment):
    seen = 0
    def end(event, arguments):
        nonlocal seen
        if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.listdir", "os.scandir"):
            seen += 1
            if seen == moment and sys.argv[4] == "kill":
                os._exit(9)
            if seen == moment:
                raise KeyboardInterrupt
    sys.addaudithook(end)
    try:
        new.save(target)
    except KeyboardInterrupt:
        os._exit(9)
    os._exit(0)

for moment in range(1, 1000):
    old.save(target)
    before = names()
    process = os.fork()
    if process == 0:
        save_until(moment)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    found = Bundle.load(target)
    found.check()
    which = {old.manifest.weights: "old", new.manifest.weights: "new"}[found.manifest.weights]
    after = names()
    print(code, which, len(before), after == before, sum(name.startswith(".new-") for name in after))
    if code == 0:
        break
"""


@pytest.mark.parametrize("end", ["kill", "interrupt"])
def test_save_ended_at_any_moment_leaves_the_old_bundle_or_the_new(bundle: Bundle, tmp_path: Path, end: str) -> None:
    """Wherever a save ends, the folder is one of the two bundles, whole; the next save removes what a kill left.

    Ctrl-C leaves nothing behind: the old bundle's folder is as it was.
    """
    paths = [tmp_path / name for name in ("old.astro", "new.astro", "tiny.astro")]
    bundle.save(paths[0])
    other_bundle(bundle).save(paths[1])
    command = [sys.executable, "-c", ENDED_SAVES, *map(str, paths), end]
    lines = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    codes, found, before, unchanged, temporary = zip(*(line.split() for line in lines), strict=True)
    assert set(codes[:-1]) == {"9"}
    assert codes[-1] == "0"
    switch = found.index("new")
    assert 10 < switch < len(found) - 2, "the test must end saves before and after the manifest is replaced"
    assert set(found[:switch]) == {"old"}
    assert set(found[switch:]) == {"new"}
    assert set(before) == {str(len(contents(paths[0])))}, "a save must remove what ended ones left"
    if end == "interrupt":
        assert set(unchanged[:switch]) == {"True"}
        assert set(temporary) == {"0"}
    assert contents(paths[2]) == contents(paths[1])


# Saves the new bundle over the old one with an error at the N-th file that is opened, renamed or listed, and prints
# what the save said and what the folder then holds.
FAILED_SAVES = """
import sys
from astroedge.bundle.container import Bundle
from astroedge.errors import BundleError
old, new, target = Bundle.load(sys.argv[1]), Bundle.load(sys.argv[2]), sys.argv[3]
weights = new.weights()
left = -1
def fail(event, arguments):
    global left
    if left >= 0 and event in ("open", "os.rename", "os.listdir", "os.scandir") and type(arguments[0]) is not int:
        left -= 1
        if left < 0:
            raise OSError(5, "Input/output error")
sys.addaudithook(fail)
for moment in range(1000):
    old.save(target)
    left = moment
    said = "saved"
    try:
        new.save(target)
    except BundleError as error:
        said = str(error)
    done, left = left >= 0, -1
    found = Bundle.load(target)
    found.check()
    print({old.manifest.weights: "old", new.manifest.weights: "new"}[found.manifest.weights], said)
    if done:
        break
"""


def test_a_failed_save_says_which_bundle_is_there(bundle: Bundle, tmp_path: Path) -> None:
    """An error before the last move leaves the old bundle unchanged and says so; after it none is raised any more."""
    paths = [tmp_path / name for name in ("old.astro", "new.astro", "tiny.astro")]
    bundle.save(paths[0])
    other_bundle(bundle).save(paths[1])
    command = [sys.executable, "-c", FAILED_SAVES, *map(str, paths)]
    result = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    found = [line.partition(" ")[::2] for line in result.stdout.splitlines()]
    assert {which for which, said in found if said == "saved"} == {"new"}
    assert {which for which, said in found if said != "saved"} == {"old"}
    assert not any("The new bundle is there" in said for _, said in found)


LIMITED_SAVE = """
import resource, sys
from astroedge.bundle.container import Bundle
from astroedge.errors import BundleError
bundle = Bundle.load(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    bundle.save(sys.argv[2])
except BundleError as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize("limit", [0, 1000, 3000, 5000])
def test_file_that_cannot_grow_leaves_the_old_bundle(bundle: Bundle, tmp_path: Path, limit: int) -> None:
    """A write that fails in the middle is one clear line, and the folder is byte for byte as before."""
    other_bundle(bundle).save(tmp_path / "new.astro")
    target = tmp_path / "tiny.astro"
    bundle.save(target)
    before = contents(target)
    for path in (target, tmp_path / "fresh.astro"):
        command = [sys.executable, "-c", LIMITED_SAVE, str(tmp_path / "new.astro"), str(path), str(limit)]
        result = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
        assert (result.returncode, result.stderr) == (BundleError.exit_code, "")
        assert "File too large" in result.stdout
        assert result.stdout.count("\n") == 1
    assert contents(target) == before
    assert not (tmp_path / "fresh.astro").exists()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 KiB."""
    with small_disk(tmp_path / "disk", "48k") as folder:
        yield folder


def test_full_disk_leaves_the_old_bundle(bundle: Bundle, disk: Path) -> None:
    """On a disk that is full the old bundle stays as it was, and a new folder is not left behind."""
    target = disk / "tiny.astro"
    bundle.save(target)
    before = contents(target)
    for path in (target, disk / "second.astro"):
        with pytest.raises(BundleError, match="No space left on device"):
            other_bundle(bundle).save(path)
    assert contents(target) == before
    assert [path.name for path in disk.iterdir()] == ["tiny.astro"]
    load(target).close()
