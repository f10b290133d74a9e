"""manifest.json as bytes: written the same way every time, and checked against its own digest when read.

The file starts with the member "digest": the SHA-256 of the whole file with the digest's 64 digits replaced by zeros.
So a changed byte anywhere in the file is found, and a C host can check it without reading JSON.
"""

from __future__ import annotations

import json
from hashlib import sha256

from astroedge.abi.limits import ABI_VERSION
from astroedge.bundle.manifest import FORMAT, MANIFEST_VERSION, Manifest
from astroedge.bundle.manifest_check import check_manifest
from astroedge.errors import BundleError
from astroedge.strict_json import read_json, schema

MANIFEST_NAME = "manifest.json"

_OPENING = b'{\n "digest": "'
_NO_DIGEST = b"0" * 64


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of manifest.json; equal manifests give equal bytes.

    Raises BundleError for a manifest that breaks its own rules (`check_manifest`) or holds NaN or infinity.
    """
    check_manifest(manifest)
    record = {"digest": _NO_DIGEST.decode(), **manifest.to_json()}
    try:
        text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise BundleError(f"The manifest cannot be written as JSON: {error}.") from error
    blank = text.encode("utf-8")
    return _OPENING + _digest(blank) + blank[len(_OPENING) + 64 :]


def decode_manifest(content: bytes) -> Manifest:
    """Read and check what `encode_manifest` wrote.

    Raises BundleError for another format or version, for a file that does not match its digest and for a manifest that
    breaks its own rules; IncompatibleError for another binary interface.
    """
    try:
        record = read_json(content)
    except ValueError as error:
        raise BundleError(f"{MANIFEST_NAME} is not JSON ({error}); it is damaged: copy the bundle again.") from error
    known = isinstance(record, dict) and (record.get("format"), record.get("version")) == (FORMAT, MANIFEST_VERSION)
    if known and not _matches_its_digest(content):
        raise BundleError(
            f"{MANIFEST_NAME} does not match its own digest: it is damaged or was edited; copy the bundle again."
        )
    wrong = schema("manifest")(record, "it") if known and record.get("abi_version") == ABI_VERSION else None
    if wrong is not None:
        raise BundleError(f"{MANIFEST_NAME} is damaged: {wrong}; compile the graph again.")
    manifest = Manifest.from_json(record)
    check_manifest(manifest)
    return manifest


def is_ours(content: bytes) -> bool:
    """Whether a file is a manifest of AstroEdge, of whatever version, whole or damaged: what a save may replace."""
    return content.startswith(_OPENING) and f'\n "format": "{FORMAT}"'.encode() in content[:1024]


def _matches_its_digest(content: bytes) -> bool:
    start, end = len(_OPENING), len(_OPENING) + 64
    blank = _OPENING + _NO_DIGEST + content[end:]
    return content[:start] == _OPENING and content[start:end] == _digest(blank)


def _digest(blank: bytes) -> bytes:
    return sha256(blank).hexdigest().encode("ascii")
