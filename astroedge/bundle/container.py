"""Bundle: a compiled step with its weights and everything a device needs to run and verify it.

In memory it is what `compile` returns; on disk it is a folder, `NAME.astro/`, that `docs/bundle-format.md` describes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from astroedge.bundle.folder import ASSETS, open_file, read_file, read_manifest, replace_folder
from astroedge.bundle.manifest import BundleFiles, FileRecord, Manifest
from astroedge.bundle.manifest_file import MANIFEST_NAME, decode_manifest, encode_manifest, linked_digest
from astroedge.bundle.weights_memory import Weights, copy_weights, held_weights, map_weights, read_weights
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
        bundle._weights_are_checked = False
        for name, record in bundle._records().items():
            os.close(open_file(folder, name, record.size))
        return bundle

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bundle to a folder, replacing the bundle that is there.

        A kill, an error or a full disk at any moment leaves the old bundle or the new one, whole.

        Raises BundleError when the folder cannot be written or holds something else.
        """
        replace_folder(Path(path), encode_manifest(self.manifest), self._contents())

    def contents(self) -> dict[str, bytes | memoryview]:
        """Every file of the bundle's folder by its name there, compared with its digest.

        Raises BundleError when a file differs.
        """
        return {MANIFEST_NAME: encode_manifest(self.manifest), **self._contents()}

    def _contents(self) -> dict[str, bytes | memoryview]:
        """The files that the manifest names."""
        return {
            self.manifest.library.name: self.library(),
            self.manifest.weights.name: self.weights().data,
            **{_asset_file(record): self.asset(record.name) for record in self.manifest.assets},
        }

    def check(self) -> None:
        """Compare every file with its digest, as it is on disk now.

        Raises BundleError naming the first file that differs.
        """
        self.library()
        self._read_weights()
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

    def weights(self, *, trust: bool = False) -> Weights:
        """The weights as aligned, read-only bytes: a copy that was compared with its digest.

        One copy serves all who hold it in this process and in its forked children. With `trust` the bundle's file is
        mapped and not compared: for folders only an administrator can change.
        """
        record = self.manifest.weights
        if trust and self._files is None and record.size > 0:
            with self._opened_weights() as descriptor:
                return map_weights(descriptor, record.size)
        held = held_weights(record.sha256) if self._weights_are_checked else None
        return self._read_weights() if held is None else held

    def _read_weights(self) -> Weights:
        record = self.manifest.weights
        if self._files is not None:
            weights = copy_weights(self._files.weights, record.sha256)
        else:
            with self._opened_weights() as descriptor:
                weights = read_weights(descriptor, record.name, record.size, record.sha256)
        if weights is None:
            raise _damaged(record.name)
        self._weights_are_checked = True
        return weights

    @contextmanager
    def _opened_weights(self) -> Iterator[int]:
        assert self.path is not None
        descriptor = open_file(self.path, self.manifest.weights.name, self.manifest.weights.size)
        try:
            yield descriptor
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
        if sha256(content).hexdigest() != record.sha256:
            raise _damaged(name)
        return content


def _asset_file(record: FileRecord) -> str:
    return f"{ASSETS}/{record.sha256[:16]}-{record.name}"


def _damaged(name: str) -> BundleError:
    return BundleError(
        f"{name} does not match its digest; a bad copy or a failing disk has damaged it: copy the bundle again."
    )
