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

from astroedge.abi.limits import ALIGNMENT
from astroedge.bundle.folder import ASSETS, open_file, read_descriptor, read_manifest, replace_folder
from astroedge.bundle.manifest import BundleFiles, FileRecord, Manifest
from astroedge.bundle.manifest_file import MANIFEST_NAME, decode_manifest, encode_manifest, linked_digest
from astroedge.bundle.one_file import BundleFile, write_one_file
from astroedge.bundle.weights_memory import (
    Weights,
    copy_weights,
    held_weights,
    known_digest,
    map_weights,
    read_weights,
)
from astroedge.errors import BundleError
from astroedge.step.assets import LABELS, check_asset, check_assets, check_labels, label_names


def describe_library(content: bytes) -> FileRecord:
    """The record of a bundle's library."""
    digest = sha256(content).hexdigest()
    return FileRecord(f"step-{digest[:16]}.so", len(content), digest)


def describe_weights(content: bytes | memoryview) -> FileRecord:
    """The record of a bundle's weights; linking needs it, because the library names the weights it belongs to."""
    digest = known_digest(content) or sha256(content).hexdigest()
    return FileRecord(f"weights-{digest[:16]}.bin", memoryview(content).nbytes, digest)


def describe_asset(name: str, content: bytes) -> FileRecord:
    """The record of an asset such as "tokenizer.json"; its file is called `assets/<16 digits of the digest>-<name>`.

    Raises InputError for a name that is no plain file name and for more than 64 MiB.
    """
    check_asset(name, len(content))
    return FileRecord(name, len(content), sha256(content).hexdigest())


class Bundle:
    """A manifest with the files it names, in memory or in a folder.

    Made from a manifest and files, the manifest's records of the files are replaced by those of the files given.
    `linked_digest` is the SHA-256 that a library holds of the manifest that it was linked for.
    """

    def __init__(self, manifest: Manifest, files: BundleFiles) -> None:
        self.path: Path | None = None
        self._archive: BundleFile | None = None
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
        """Open a bundle, a folder or one file: its manifest is checked, its other files are there in the right size.

        Their digests are checked when they are read, and all of them by `check`.

        Raises BundleError when it is no bundle, is damaged or of an unknown version, IncompatibleError when it
        was made for another binary interface.
        """
        place = Path(path)
        bundle = Bundle.__new__(Bundle)
        bundle.path, bundle._archive = place, BundleFile.read(place) if place.is_file() else None
        bundle.manifest, bundle.linked_digest = decode_manifest(bundle._read_manifest(place))
        bundle._files = None
        bundle._weights_are_checked = False
        for name, record in bundle._records().items():
            os.close(bundle._open(name, record.size)[0])
        return bundle

    def save(self, path: str | os.PathLike[str], *, one_file: bool = False) -> None:
        """Write the bundle to a folder, or with `one_file` as one zip file, replacing the bundle that is there.

        A kill, an error or a full disk at any moment leaves the old bundle or the new one, whole.

        Raises BundleError when it cannot be written, or something else is there.
        """
        write = write_one_file if one_file else replace_folder
        write(Path(path), encode_manifest(self.manifest), self._contents())

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

    def with_assets(self, assets: Mapping[str, bytes]) -> Bundle:
        """The bundle in memory with further assets, by name, or others in the place of those of the same name.

        Raises InputError for assets that cannot be carried, such as labels that are not as many as there are scores,
        BundleError for files of the bundle that are damaged.
        """
        held = {record.name: self.asset(record.name) for record in self.manifest.assets}
        given = check_assets({**held, **assets}, self.manifest.step)
        return Bundle(self.manifest, BundleFiles(self.library(), self.weights().data, given))

    @property
    def labels(self) -> list[str]:
        """The names of the classes, of the asset `labels.txt`; none where the bundle has no such asset.

        Raises BundleError where it is damaged, InputError where it is no text of names or has another number of them
        than the first output has scores.
        """
        content = self.find_asset(LABELS)
        if content is None:
            return []
        names = label_names(content)
        check_labels(names, self.manifest.step.outputs[0])
        return names

    @property
    def nbytes(self) -> int:
        """What all files of the bundle take together, bytes."""
        return len(encode_manifest(self.manifest)) + sum(record.size for record in self._records().values())

    def __repr__(self) -> str:
        """`<Bundle lm for raspberry-pi-4, int8, 1,234,567 bytes in lm.astro>`."""
        place = "in memory" if self.path is None else f"in {self.path}"
        manifest = self.manifest
        return (
            f"<Bundle {manifest.model} for {manifest.target.name}, {manifest.precision}, {self.nbytes:,} bytes {place}>"
        )

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

    def find_asset(self, name: str) -> bytes | None:
        """The content of an asset, compared with its digest; None where there is no such asset."""
        return self.asset(name) if any(record.name == name for record in self.manifest.assets) else None

    def weights(self, *, trust: bool = False) -> Weights:
        """The weights as aligned, read-only bytes: a copy that was compared with its digest.

        One copy serves all who hold it in this process and in its forked children. With `trust` the bundle's file is
        mapped and not compared: for folders only an administrator can change.
        """
        record = self.manifest.weights
        if trust and self._files is None and record.size > 0:
            with self._opened_weights() as (descriptor, offset):
                if offset % ALIGNMENT == 0:  # an archive that another program packed may start weights anywhere
                    return map_weights(descriptor, offset, record.size)
        held = held_weights(record.sha256) if self._weights_are_checked else None
        return self._read_weights() if held is None else held

    def _read_weights(self) -> Weights:
        record = self.manifest.weights
        if self._files is not None:
            weights = copy_weights(self._files.weights, record.sha256)
        else:
            with self._opened_weights() as (descriptor, offset):
                weights = read_weights(descriptor, record.name, offset, record.size, record.sha256)
        if weights is None:
            raise _damaged(record.name)
        self._weights_are_checked = True
        return weights

    @contextmanager
    def _opened_weights(self) -> Iterator[tuple[int, int]]:
        descriptor, offset = self._open(self.manifest.weights.name, self.manifest.weights.size)
        try:
            yield descriptor, offset
        finally:
            os.close(descriptor)

    def _open(self, name: str, size: int) -> tuple[int, int]:
        """A descriptor to read a file of the bundle from, and where in it the file starts."""
        assert self.path is not None
        if self._archive is None:
            return open_file(self.path, name, size), 0
        return self._archive.open(name, size)[:2]

    def _read_manifest(self, place: Path) -> bytes:
        if self._archive is not None:
            return self._archive.manifest()
        if not os.path.lexists(place):
            raise BundleError(f"There is no bundle {place}; check the path, or compile it first.")
        if not os.path.lexists(place / MANIFEST_NAME):
            raise BundleError(f"{place} is no bundle: it has no {MANIFEST_NAME}; give what compile wrote.")
        return read_manifest(place)

    def _records(self) -> Mapping[str, FileRecord]:
        """Every file by its name inside the folder."""
        manifest = self.manifest
        assets = {_asset_file(record): record for record in manifest.assets}
        return {manifest.library.name: manifest.library, manifest.weights.name: manifest.weights, **assets}

    def _read(self, name: str, record: FileRecord) -> bytes:
        descriptor, start = self._open(name, record.size)
        content = read_descriptor(descriptor, name, start, record.size)
        if sha256(content).hexdigest() != record.sha256:
            raise _damaged(name)
        return content


def _asset_file(record: FileRecord) -> str:
    return f"{ASSETS}/{record.sha256[:16]}-{record.name}"


def _damaged(name: str) -> BundleError:
    return BundleError(
        f"{name} does not match its digest; a bad copy or a failing disk has damaged it: copy the bundle again."
    )
