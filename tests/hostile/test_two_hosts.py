"""One rule for both hosts: what Python refuses of a bundle C refuses, and with the same code."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from astroedge.errors import BundleError, IncompatibleError
from tests.hostile.fuzz_manifests import Fuzzer
from tests.support.bundles import make_tiny_bundle
from tests.support.forged_manifests import LINKED, forge, relink, seal
from tests.support.two_hosts import code_of_c, code_of_python

BAD, OTHER = BundleError.exit_code, IncompatibleError.exit_code
ASSETS = {"labels.txt": b"a\n", "words.txt": b"b\n"}
FIRST = rb'\n  \{\n   "name": "labels[^}]*\}'
SECOND = rb'\n  \{\n   "name": "words[^}]*\}'

# Name → expression, what stands in its place, code of both hosts.
EDITS: dict[str, tuple[bytes, bytes, int]] = {
    "as it was": (rb"\Z", b"", 0),
    "an asset less": (FIRST + b",", b"", 0),
    "no asset": (FIRST + b"," + SECOND + rb"\n ", b"", 0),
    "assets in another order": (b"(%b),(%b)" % (FIRST, SECOND), rb"\2,\1", BAD),
    "one asset twice": (b"(%b)" % FIRST, rb"\1,\1", BAD),
    "an asset that is not there": (b'"name": "words', b'"name": "Xwords', BAD),
    "an asset elsewhere": (b'"name": "words', b'"name": "../words', BAD),
    "a hidden asset": (b'"name": "words', b'"name": ".words', BAD),
    "an asset that reads as an option": (b'"name": "words', b'"name": "-words', BAD),
    "an asset without a name": (b'"name": "words.txt"', b'"name": ""', BAD),
    "an asset of a name too long": (b'"name": "words.txt"', b'"name": "%b"' % (b"w" * 101), BAD),
    "a comma behind the last asset": (b"(%b)" % SECOND, rb"\1,", BAD),
    "an asset and no list": (rb"\n \],", b",", BAD),
    "digits in capitals": (rb'("size": 2,\n   "sha256": ")[0-9a-f]{64}', rb"\1" + b"A" * 64, BAD),
    "half a digest": (rb'("size": 2,\n   "sha256": ")[0-9a-f]{32}', rb"\1", BAD),
    "a member twice": (b'\n "version": 1,', b'\n "version": 1,\n "version": 1,', BAD),
    "a member of the layout twice": (b'\n  "state_size": ', b'\n  "state_size": 64,\n  "state_size": ', BAD),
    "a member that no manifest has": (b'\n "model"', b'\n "more": 1,\n "model"', BAD),
    "a member less": (b'\n "probes": false,', b"", BAD),
    "no number": (b'"seed": [0-9]+', b'"seed": NaN', BAD),
    "infinity": (b'"firing_rate": [0-9.]+', b'"firing_rate": 1e999', BAD),
    "another version": (b'"version": 1', b'"version": 2', BAD),
    "truth for a version": (b'"version": 1', b'"version": true', BAD),
    "a fraction for a version": (b'"version": 1', b'"version": 1.0', BAD),
    "a zero before a version": (b'"version": 1', b'"version": 01', BAD),
    "a version of more digits than 64 bits": (b'"version": 1', b'"version": ' + b"1" * 30, BAD),
    "another format": (b"astroedge-bundle", b"astroedge-bundles", BAD),
    "another binary interface": (b'"abi_version": 1', b'"abi_version": 2', OTHER),
    "another binary interface and no JSON": (b'"abi_version": 1(.*)"seed": ', rb'"abi_version": 7\1"seed": NaN', OTHER),
    "truth for a binary interface": (b'"abi_version": 1', b'"abi_version": true', BAD),
    "no binary interface": (b'\n "abi_version": 1,', b"", BAD),
    "a negative library": (rb'(step-[^}]*"size": )[0-9]+', rb"\1-1", BAD),
    "a library of another size": (rb'(step-[^}]*"size": )', rb"\g<1>1", BAD),
    "a library of another name": (b"step-[0-9a-f]{16}", b"step-0123456789abcdef", BAD),
    "negative weights": (rb'(weights-[^}]*"size": )[0-9]+', rb"\1-1", BAD),
    "weights of no size": (rb'(weights-[^}]*"size": )[0-9]+', rb"\g<1>18446744073709551615", BAD),
    "a negative asset": (b'"size": 2', b'"size": -1', BAD),
    "a field elsewhere": (b'"offset": 128', b'"offset": 0', BAD),
    "a smaller state": (b'"state_size": 384', b'"state_size": 320', BAD),
    "an input of another name": (b'"token"', b'"tokens"', BAD),
    "another processor": (b'"arch": "[^"]*"', b'"arch": "armv7l"', BAD),
    "a feature that no processor has": (b'"features": \\[', b'"features": [\n   "warp",', BAD),
    "another golden trace": (b'"seed": ', b'"seed": 1', BAD),
    "another model": (b'"tiny"', b'"tony"', BAD),
    "a letter as an escape": (b'"tiny"', rb'"\\u0074iny"', BAD),
    "a space more": (b'"model": ', b'"model":  ', BAD),
    "a space less": (b'"abi_version": ', b'"abi_version":', BAD),
    "members in another order": (rb'(\n "math": [^,]*,)(\n "precision": [^,]*,)', rb"\2\1", BAD),
    "a line break of two signs": (b'\n "model"', b'\r\n "model"', BAD),
    "a tab": (b'\n "library"', b'\n\t"library"', BAD),
    "nothing at the end": (rb"\n\Z", b"", BAD),
    "a line more": (rb"\Z", b"\n", BAD),
    "a second manifest": (rb"\Z", b"{}", BAD),
    "a NUL": (b'\n "model"', b'\n\0 "model"', BAD),
    "a NUL among the first members": (b'\n "library"', b'\0\n "library"', BAD),
    "no UTF-8": (b'"tiny"', b'"t\xffny"', BAD),
    "half a character": (b'"tiny"', rb'"t\\ud800ny"', BAD),
    "nothing behind the assets": (LINKED[1:] + rb".*", b"", BAD),
    "half of it": (rb'"layout".*', b"", BAD),
    "deep nesting": (b'"probes": false', b'"probes": ' + b"[" * 10_000 + b"]" * 10_000, BAD),
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with two assets."""
    folder = tmp_path_factory.mktemp("original") / "tiny.astro"
    make_tiny_bundle(assets=ASSETS).save(folder)
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy to be spoilt."""
    return shutil.copytree(original, tmp_path / "tiny.astro")


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_manifest_is_one_to_both_hosts(edit: str, folder: Path, checked_host: Path) -> None:
    """Whatever of a manifest is changed, its digest made anew: both hosts take it, or refuse it with the same code."""
    old, new, code = EDITS[edit]
    content, count = re.subn(old, new, (folder / "manifest.json").read_bytes(), count=1, flags=re.DOTALL)
    assert count == 1
    forge(folder, seal(content))
    assert (code_of_python(folder), code_of_c(checked_host, folder)) == (code, code)


def _only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def _replace(folder: Path, pattern: str, make: Callable[[Path], object]) -> None:
    path = _only(folder, pattern)
    path.unlink()
    make(path)


def _link_assets(folder: Path) -> None:
    (folder / "assets").rename(folder.parent / "elsewhere")
    (folder / "assets").symlink_to(folder.parent / "elsewhere")


FILES: dict[str, Callable[[Path], object]] = {
    "manifest of no byte": lambda folder: (folder / "manifest.json").write_bytes(b""),
    "asset of other content": lambda folder: _only(folder, "assets/*words.txt").write_bytes(b"c\n"),
    "asset of another size": lambda folder: _only(folder, "assets/*words.txt").write_bytes(b""),
    "asset that is missing": lambda folder: _only(folder, "assets/*labels.txt").unlink(),
    "asset that is a link": lambda folder: _replace(folder, "assets/*words.txt", lambda path: path.symlink_to("/etc")),
    "asset that is a FIFO": lambda folder: _replace(folder, "assets/*words.txt", os.mkfifo),
    "asset that is a folder": lambda folder: _replace(folder, "assets/*words.txt", os.mkdir),
    "no folder of assets": lambda folder: shutil.rmtree(folder / "assets"),
    "folder of assets that is a link": _link_assets,
    "weights of other content": lambda folder: _only(folder, "weights-*").write_bytes(bytes(3712)),
    "weights that are missing": lambda folder: _only(folder, "weights-*").unlink(),
    "library that is missing": lambda folder: _only(folder, "step-*").unlink(),
    "library that is a device": lambda folder: _replace(folder, "step-*", lambda path: path.symlink_to("/dev/zero")),
}


@pytest.mark.parametrize("damage", FILES)
def test_a_damaged_file_is_one_to_both_hosts(damage: str, folder: Path, checked_host: Path) -> None:
    """Every file that the manifest names, assets too, is compared by both hosts."""
    FILES[damage](folder)
    assert (code_of_python(folder), code_of_c(checked_host, folder)) == (BAD, BAD)


def test_a_library_belongs_to_the_manifest_that_its_description_names(folder: Path, checked_host: Path) -> None:
    """To hold the digest of the manifest somewhere is not enough: the description must name it."""
    text = (folder / "manifest.json").read_bytes()
    linked = sha256(text[text.index(LINKED) + 1 :]).hexdigest().encode()
    library = _only(folder, "step-*")
    old = library.read_bytes()
    new = old.replace(linked, b"0" * 64) + linked
    before, after = (sha256(content).hexdigest().encode() for content in (old, new))
    text = text.replace(before, after).replace(before[:16], after[:16])
    text = text.replace(b'"size": %d' % len(old), b'"size": %d' % len(new))
    (folder / f"step-{after[:16].decode()}.so").write_bytes(new)
    forge(folder, seal(text))
    assert (code_of_python(folder), code_of_c(checked_host, folder)) == (BAD, BAD)


def test_c_reads_the_weights_as_python_does(folder: Path, checked_host: Path) -> None:
    """The record of the weights has one spelling too: a library that belongs to another is refused by both."""
    original = (folder / "manifest.json").read_bytes()
    relink(folder, original, original.replace(b'  "size": 3712', b' "size": 3712'))
    assert (code_of_python(folder), code_of_c(checked_host, folder)) == (BAD, BAD)


def test_mutated_manifests_are_one_to_both_hosts(tmp_path: Path, checked_host: Path) -> None:
    """Of some hundred mutations each is taken or refused by both, with the same code, and no host crashes."""
    fuzzer = Fuzzer(checked_host, tmp_path / "tiny.astro")
    counts = fuzzer.run(240, seed=7)
    assert fuzzer.disagreements == []
    assert counts["edited: code 50"] > 100
    assert counts["edited: code 51"] > 0
    assert counts["edited: code 0"] > 10
