"""Bundle: a compiled step with its weights and everything a device needs to run and verify it.

In memory it is what `compile` returns; on disk it is a folder, `NAME.astro/`, that `docs/bundle-format.md` describes.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astroedge.abi.aligned import aligned_zeros
from astroedge.bundle.folder import ASSETS, open_file, read_file, read_manifest, replace_folder
from astroedge.bundle.manifest import BundleFiles, FileRecord, Manifest
from astroedge.bundle.manifest_file import MANIFEST_NAME, decode_manifest, encode_manifest, linked_digest
from astroedge.errors import BundleError


def describe_library(content: bytes) -> FileRecord:
    """The record of a bundle's library."""
    digest = sha256(content).hexdigest()
    return FileRecord(f"step-{digest[:16]}.so", len(content), digest)


def describe_weights(content: bytes | memoryview) -> FileRecord:
    """The record of a bundle's weights; linking needs it, because the library names the weights it belongs to."""
    digest = sha256(content).hexdigest()
    return FileRecord(f"weights-{digest[:16]}.bin", memoryview(content).nbytes, digest)


def describe_asset(name: str, content: bytes) -> FileRecord:
    """The record of an asset such as "tokenizer.json"; its file is called `assets/<16 digits of the digest>-<name>`."""
    return FileRecord(name, len(content), sha256(content).hexdigest())


class Bundle:
    """A manifest with the files it names, in memory or in a folder.

    Made from a manifest and files, the manifest's records of the files are replaced by those of the files given.
    `linked_digest` is the SHA-256 that a library holds of the manifest that it was linked for.
    """

    def __init__(self, manifest: Manifest, files: BundleFiles) -> None:
        self.path: Path | None = None
        self.manifest = replace(
            manifest,
            library=describe_library(files.library),
            weights=describe_weights(files.weights),
            assets=tuple(describe_asset(name, content) for name, content in sorted(files.assets.items())),
        )
        self.linked_digest = linked_digest(self.manifest)
        self._files: BundleFiles | None = files
        self._weights: NDArray[np.uint8] | None = None
        self._weights_are_checked = True

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Bundle:
        """Open a bundle's folder: the manifest is read and checked, the other files are there and have the right size.

        Their digests are checked when they are read, and all of them by `check`.

        Raises BundleError when the folder is no bundle, is damaged or of an unknown version, IncompatibleError when it
        was made for another binary interface.
        """
        folder = Path(path)
        if not os.path.lexists(folder / MANIFEST_NAME):
            raise BundleError(f"{folder} is no bundle: it has no {MANIFEST_NAME}; give the folder that compile wrote.")
        bundle = Bundle.__new__(Bundle)
        bundle.path = folder
        bundle.manifest, bundle.linked_digest = decode_manifest(read_manifest(folder))
        bundle._files = None
        bundle._weights = None
        bundle._weights_are_checked = False
        for name, record in bundle._records().items():
            os.close(open_file(folder, name, record.size))
        return bundle

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bundle to a folder, replacing the bundle that is there.

        A kill, an error or a full disk at any moment leaves the old bundle or the new one, whole.

        Raises BundleError when the folder cannot be written or holds something else.
        """
        files: dict[str, bytes | memoryview] = {
            self.manifest.library.name: self.library(),
            self.manifest.weights.name: self.weights().data,
            **{_asset_file(record): self.asset(record.name) for record in self.manifest.assets},
        }
        replace_folder(Path(path), encode_manifest(self.manifest), files)

    def check(self) -> None:
        """Compare every file with its digest.

        Raises BundleError naming the first file that differs.
        """
        self.library()
        self.weights()
        for record in self.manifest.assets:
            self.asset(record.name)

    def library(self) -> bytes:
        """The library's bytes, compared with their digest; it holds the digest of the manifest it was linked for.

        Raises BundleError when the bytes differ, or the library was linked for another manifest.
        """
        record = self.manifest.library
        content = self._read(record.name, record) if self._files is None else self._files.library
        if self.linked_digest.encode() not in content:
            raise BundleError(
                f"{record.name} was linked for another {MANIFEST_NAME}; one of them was edited, or they come from "
                "different bundles: copy the bundle again."
            )
        return content

    def asset(self, name: str) -> bytes:
        """The content of an asset, compared with its digest.

        Raises BundleError when there is no such asset.
        """
        records = {record.name: record for record in self.manifest.assets}
        if name not in records:
            known = ", ".join(records) or "it has none"
            raise BundleError(f"The bundle has no asset {name!r}; its assets: {known}.")
        if self._files is not None:
            return self._files.assets[name]
        return self._read(_asset_file(records[name]), records[name])

    def weights(self, *, trust: bool = False) -> NDArray[np.uint8]:
        """The weights as aligned, read-only bytes: of a folder they are mapped, so that every process shares them.

        They are compared with their digest once; `trust` leaves that out, for folders only an administrator can change.
        """
        record = self.manifest.weights
        if self._weights is None:
            self._weights = self._map_weights()
        if not (trust or self._weights_are_checked):
            _compare(sha256(self._weights.data).hexdigest(), record.name, record)
            self._weights_are_checked = True
        return self._weights

    def _map_weights(self) -> NDArray[np.uint8]:
        record = self.manifest.weights
        if self._files is not None or record.size == 0:
            content = aligned_zeros(record.size)
            if self._files is not None:
                content[:] = np.frombuffer(self._files.weights, dtype=np.uint8)
            content.flags.writeable = False
            return content
        assert self.path is not None
        descriptor = open_file(self.path, record.name, record.size)
        try:
            return np.frombuffer(mmap.mmap(descriptor, record.size, access=mmap.ACCESS_READ), dtype=np.uint8)
        finally:
            os.close(descriptor)

    def _records(self) -> Mapping[str, FileRecord]:
        """Every file by its name inside the folder."""
        manifest = self.manifest
        assets = {_asset_file(record): record for record in manifest.assets}
        return {manifest.library.name: manifest.library, manifest.weights.name: manifest.weights, **assets}

    def _read(self, name: str, record: FileRecord) -> bytes:
        assert self.path is not None
        content = read_file(self.path, name, record.size)
        _compare(sha256(content).hexdigest(), name, record)
        return content


def _asset_file(record: FileRecord) -> str:
    return f"{ASSETS}/{record.sha256[:16]}-{record.name}"


def _compare(digest: str, name: str, record: FileRecord) -> None:
    if digest != record.sha256:
        raise BundleError(
            f"{name} does not match its digest; a bad copy or a failing disk has damaged it: copy the bundle again."
        )
