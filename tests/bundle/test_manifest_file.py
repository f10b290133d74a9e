"""manifest.json: the same bytes for the same manifest, and every damage found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from referencing import Registry, Resource

import astroedge
from astroedge.bundle.manifest import Manifest
from astroedge.bundle.manifest_file import decode_manifest, encode_manifest, linked_digest
from astroedge.errors import BundleError, IncompatibleError
from astroedge.parity import Allowance
from astroedge.step.spec import ActivationSpec
from tests.support.bundles import make_tiny_bundle

SCHEMA = Path(astroedge.__file__).parent / "schemas" / "manifest.schema.json"


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    """The manifest of a complete bundle with an asset."""
    return make_tiny_bundle(assets={"labels.txt": b"a\nb\n"}).manifest


def test_round_trip(manifest: Manifest) -> None:
    """What is written is read back equal, and written again to the same bytes."""
    content = encode_manifest(manifest)
    again, digest = decode_manifest(content)
    assert (again, digest) == (manifest, linked_digest(manifest))
    assert encode_manifest(again) == content


def test_everything_optional_is_read_back(manifest: Manifest) -> None:
    """Members that most manifests lack are none the less members."""
    step = manifest.step
    full = replace(
        manifest,
        step=replace(
            step,
            inputs=(replace(step.inputs[0], value_range=(0, 9)), *step.inputs[1:]),
            activations=(ActivationSpec("relu", "r", (1, 4), 0.25),),
            allowance=Allowance(50, 1e-3, 2),
        ),
        matrices=tuple(replace(item, graded=True) for item in manifest.matrices),
        dequantised_sha256="0" * 64,
    )
    content = encode_manifest(full)
    assert decode_manifest(content) == (full, linked_digest(full))


def test_schema_accepts_it_and_is_strict(manifest: Manifest) -> None:
    """The JSON schema describes the file: it takes a real one and none with a member missing or too many."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    step = json.loads((SCHEMA.parent / "step.schema.json").read_text(encoding="utf-8"))
    registry = Registry().with_resource("step.schema.json", Resource.from_contents(step))
    check = jsonschema.Draft202012Validator(schema, registry=registry)
    record = json.loads(encode_manifest(manifest))
    check.validate(record)
    for name in record:
        assert not check.is_valid({key: value for key, value in record.items() if key != name}), name
    assert not check.is_valid({**record, "unknown": 1})
    assert not check.is_valid({**record, "library": {**record["library"], "name": "../step.so"}})
    assert not check.is_valid({**record, "version": 2})


def test_every_flipped_byte_is_found(manifest: Manifest) -> None:
    """No byte of the file can change unnoticed, not even one that leaves valid JSON of the right form."""
    content = encode_manifest(manifest)
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        with pytest.raises(BundleError) as caught:
            decode_manifest(bytes(damaged))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"1" * 5000, b"[" * 100_000])
def test_no_manifest_is_one_clear_error(content: bytes) -> None:
    """Whatever else lies under the name manifest.json is a BundleError."""
    with pytest.raises(BundleError, match=r"manifest\.json is not"):
        decode_manifest(content)


def test_edited_manifest_is_refused(manifest: Manifest) -> None:
    """A value changed by hand no longer matches the digest, and the message says so."""
    content = encode_manifest(manifest).replace(b'"model": "tiny"', b'"model": "tony"')
    with pytest.raises(BundleError, match="its own digest"):
        decode_manifest(content)


@pytest.mark.parametrize(("old", "new"), [(b'"version": 1,', b'"version": 2,'), (b"astroedge-bundle", b"other")])
def test_unknown_version_or_format_is_named(manifest: Manifest, old: bytes, new: bytes) -> None:
    """A file of another version or format is told apart from a damaged one."""
    with pytest.raises(BundleError, match=r"version 2|not an AstroEdge manifest"):
        decode_manifest(encode_manifest(manifest).replace(old, new, 1))


def test_other_binary_interface_is_incompatible(manifest: Manifest) -> None:
    """A bundle for another version of the C interface is refused as incompatible, not as damaged."""
    with pytest.raises(IncompatibleError, match="binary interface 2"):
        encode_manifest(replace(manifest, abi_version=2))


def test_nan_cannot_be_written(manifest: Manifest) -> None:
    """NaN is not JSON: a manifest that holds one is refused when it is written."""
    with pytest.raises(BundleError, match="JSON"):
        encode_manifest(replace(manifest, golden=replace(manifest.golden, parity={"error": float("nan")})))
