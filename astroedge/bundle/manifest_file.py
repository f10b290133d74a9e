"""manifest.json as bytes: written one way alone, and checked as bytes before anything in it is read as JSON.

The file starts with the member "digest": the SHA-256 of the whole file with the digest's 64 digits replaced by zeros.
Then comes what is known only after linking, in a form that has one spelling, and then the rest, from "weights" on,
whose SHA-256 the library holds. So nothing of a manifest can change but the records of the library and of the assets,
and a host that reads no JSON (`runtimes/c/manifest.c`) refuses what this module refuses, in the same order.
"""

from __future__ import annotations

import json
import re
from hashlib import sha256

from astroedge.abi.limits import ABI_VERSION, LARGEST_TABLE
from astroedge.bundle.manifest import FORMAT, MANIFEST_VERSION, Manifest
from astroedge.bundle.manifest_check import check_manifest
from astroedge.errors import BundleError, IncompatibleError
from astroedge.strict_json import read_json, schema

MANIFEST_NAME = "manifest.json"

_OPENING = b'{\n "digest": "'
_NO_DIGEST = b"0" * 64
_AFTER_LINKING = ("format", "version", "abi_version", "library", "assets")

# Each expression is a function of runtimes/c/manifest.c, which takes the same bytes and no others.
_SHA256 = rb"[0-9a-f]{64}"
_NUMBER = rb"(?:0|[1-9][0-9]{0,18})"
_VERSIONS = re.compile(
    rb'\{\n "digest": "%b",\n "format": "%b",\n "version": (%b),\n "abi_version": (%b),\n'
    % (_SHA256, FORMAT.encode(), _NUMBER, _NUMBER)
)
_FILE = (
    rb' "%%b": \{\n  "name": "%%b-([0-9a-f]{16})\.%%b",\n  "size": %b,\n  "sha256": "\1[0-9a-f]{48}"\n \},\n' % _NUMBER
)
_LIBRARY = re.compile(_FILE % (b"library", b"step", b"so") + rb' "assets": \[')
_WEIGHTS = re.compile(_FILE % (b"weights", b"weights", b"bin"))
_ASSET = re.compile(
    rb'\n  \{\n   "name": "([A-Za-z0-9_][A-Za-z0-9._-]{0,99})",\n   "size": %b,\n   "sha256": "%b"\n  \}'
    % (_NUMBER, _SHA256)
)
_EDITED = f"{MANIFEST_NAME} is not written as AstroEdge writes it; it was edited: copy the bundle again."
_NO_ASSETS, _ASSETS_END = b"],\n", b"\n ],\n"


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of manifest.json; equal manifests give equal bytes.

    Raises BundleError for a manifest that breaks its own rules (`check_manifest`) or holds NaN or infinity.
    """
    check_manifest(manifest)
    first, rest = _write(manifest)
    blank = first + rest
    return _OPENING + _digest(blank) + blank[len(_OPENING) + 64 :]


def linked_digest(manifest: Manifest) -> str:
    """The SHA-256 that the library of a bundle holds of its manifest: of the part that is known before linking.

    Raises BundleError for a manifest that holds NaN or infinity.
    """
    return sha256(_write(manifest)[1]).hexdigest()


def decode_manifest(content: bytes) -> tuple[Manifest, str]:
    """Read and check what `encode_manifest` wrote; returns it and its `linked_digest`.

    Raises BundleError for another format or version, for a file that does not match its digest or is not written as
    `encode_manifest` writes, and for a manifest that breaks its own rules; IncompatibleError for another binary
    interface.
    """
    linked = _check_bytes(content)
    try:
        record = read_json(content)
    except ValueError as error:
        raise BundleError(f"{MANIFEST_NAME} is not JSON ({error}); it is damaged: copy the bundle again.") from error
    wrong = schema("manifest")(record, "it")
    if wrong is not None:
        raise BundleError(f"{MANIFEST_NAME} is damaged: {wrong}; compile the graph again.")
    manifest = Manifest.from_json(record)
    check_manifest(manifest)
    return manifest, sha256(content[linked:]).hexdigest()


def is_ours(content: bytes) -> bool:
    """Whether a file is a manifest of AstroEdge, of whatever version, whole or damaged: what a save may replace."""
    return content.startswith(_OPENING) and f'\n "format": "{FORMAT}"'.encode() in content[:1024]


def _write(manifest: Manifest) -> tuple[bytes, bytes]:
    """A manifest's text without its digest: what is known only after linking, and the rest."""
    record = manifest.to_json()
    first = {"digest": _NO_DIGEST.decode(), **{name: record.pop(name) for name in _AFTER_LINKING}}
    try:
        texts = [json.dumps(part, indent=1, ensure_ascii=False, allow_nan=False) for part in (first, record)]
        return f"{texts[0][:-2]},\n".encode(), f"{texts[1][2:]}\n".encode()
    except (TypeError, ValueError) as error:
        raise BundleError(f"The manifest cannot be written as JSON: {error}.") from error


def _check_bytes(content: bytes) -> int:
    """Check a file without reading it as JSON; returns where the part begins that the library holds the digest of."""
    versions = _VERSIONS.match(content)
    if versions is None or int(versions[1]) != MANIFEST_VERSION:
        raise _foreign(content)
    if content[len(_OPENING) :][:64] != _digest(_OPENING + _NO_DIGEST + content[len(_OPENING) + 64 :]):
        raise BundleError(
            f"{MANIFEST_NAME} does not match its own digest: it is damaged or was edited; copy the bundle again."
        )
    if int(versions[2]) != ABI_VERSION:
        raise IncompatibleError(
            f"The bundle has binary interface {int(versions[2])}, this AstroEdge calls {ABI_VERSION}; compile the "
            "graph again with this release or install the release that compiled it."
        )
    end = _end_of_assets(content, versions.end())
    if end is None or _WEIGHTS.match(content, end) is None:
        raise BundleError(_EDITED)
    return end


def _foreign(content: bytes) -> BundleError:
    """Why a file is no manifest of this format and version, returned or raised."""
    try:
        record = read_json(content)
    except ValueError as error:
        return BundleError(f"{MANIFEST_NAME} is not JSON ({error}); it is damaged: copy the bundle again.")
    known = isinstance(record, dict) and (record.get("format"), record.get("version")) == (FORMAT, MANIFEST_VERSION)
    if not known:
        Manifest.from_json(record)
    return BundleError(_EDITED)


def _end_of_assets(content: bytes, start: int) -> int | None:
    """Where the records of the library and the assets end that begin at a place; None where they have another form."""
    library = _LIBRARY.match(content, start)
    if library is None:
        return None
    if content.startswith(_NO_ASSETS, library.end()):
        return library.end() + len(_NO_ASSETS)
    names: list[bytes] = []
    at = library.end() - 1
    while content[at : at + 1] == (b"," if names else b"["):
        asset = _ASSET.match(content, at + 1)
        if asset is None or (names and asset[1] <= names[-1]) or len(names) == LARGEST_TABLE:
            return None
        names.append(asset[1])
        at = asset.end()
    return at + len(_ASSETS_END) if content.startswith(_ASSETS_END, at) else None


def _digest(blank: bytes) -> bytes:
    return sha256(blank).hexdigest().encode("ascii")
