"""Weights in memory: one sealed copy a process, whatever happens to the file; a mapping where that is asked for."""

from __future__ import annotations

import os
import shutil
import weakref
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from astroedge.abi.aligned import HUGE_PAGE, address_of, in_huge_pages
from astroedge.bundle.container import Bundle
from astroedge.bundle.weights_memory import copy_weights, map_weights, read_weights
from astroedge.errors import BundleError, IncompatibleError
from tests.support.bundles import make_tiny_bundle
from tests.support.memory_maps import mapping_of

CONTENT = np.random.default_rng(3).integers(0, 256, (5 << 20) + 77, np.uint8).tobytes()
DIGEST = sha256(CONTENT).hexdigest()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of weights that spans several pieces and is no whole number of pages."""
    (tmp_path / "weights.bin").write_bytes(CONTENT)
    return tmp_path / "weights.bin"


def read(path: Path, digest: str = DIGEST, size: int = len(CONTENT)) -> np.ndarray | None:
    """The file's weights as a bundle reads them; the descriptor is closed at once."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return read_weights(descriptor, path.name, 0, size, digest)
    finally:
        os.close(descriptor)


def rights(array: np.ndarray) -> str:
    """The rights of the pages that an array starts in, as in /proc/self/maps."""
    address = address_of(array)
    for line in Path("/proc/self/maps").read_text(encoding="ascii").splitlines():
        place, found, *_ = line.split()
        low, high = (int(number, 16) for number in place.split("-"))
        if low <= address < high:
            return found
    raise AssertionError("no such memory")


def test_no_part_of_the_copy_lies_in_small_pages(path: Path) -> None:
    """It begins a huge page and is sealed to the end of its last one: what is sealed in part becomes small pages."""
    weights = read(path)
    assert weights is not None
    begin = address_of(weights)
    low, high, flags = mapping_of(begin)
    assert (begin % HUGE_PAGE, low <= begin, begin + in_huge_pages(len(CONTENT)) <= high) == (0, True, True)
    assert "wr" not in flags


def test_the_copy_is_of_this_process_alone(path: Path) -> None:
    """It holds the file's bytes, cannot be written by Python or native code, and outlives the file's change and end."""
    weights = read(path)
    assert weights is not None
    assert (bytes(weights), address_of(weights) % 64, rights(weights)) == (CONTENT, 0, "r--p")
    with pytest.raises(ValueError, match="WRITEABLE"):
        weights.flags.writeable = True
    path.write_bytes(bytes(len(CONTENT)))
    os.truncate(path, 0)
    assert bytes(weights) == CONTENT


def test_one_copy_serves_all_and_goes_with_the_last(path: Path) -> None:
    """Whoever has the same content, in a file or in memory, gets the first one's memory, and nobody keeps it."""
    first, second = read(path), read(path)
    assert first is second
    assert copy_weights(CONTENT, DIGEST) is first
    gone = weakref.ref(second)
    del first, second
    assert gone() is None


def test_damage_is_found_although_a_copy_is_held(path: Path) -> None:
    """Every read compares the file as it is, first or not; a file that ends early is told from one that is damaged."""
    held = read(path)
    assert held is not None
    path.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    assert read(path) is None
    for size in (0, 1000, len(CONTENT) - 1):
        os.truncate(path, size)
        with pytest.raises(BundleError, match=f"ends at byte {size:,}"):
            read(path)
    del held
    assert copy_weights(CONTENT, "0" * 64) is None


def test_a_mapping_is_the_file_and_one_for_all(path: Path) -> None:
    """Mapped weights follow the file, cannot be written and are shared by all who map it."""
    descriptor = os.open(path, os.O_RDONLY)
    first, second = (map_weights(descriptor, 0, len(CONTENT)) for _ in range(2))
    os.close(descriptor)
    assert first is second
    assert not first.flags.writeable
    with path.open("r+b") as file:
        file.write(bytes([CONTENT[0] ^ 1]))
    assert bytes(first) == bytes([CONTENT[0] ^ 1]) + CONTENT[1:]


@pytest.mark.parametrize("size", [2**47, 2**64])
def test_weights_that_no_memory_holds_are_one_line(path: Path, size: int) -> None:
    """Where the system gives no such memory, or no address reaches it, the size and the way out are named."""
    with pytest.raises(IncompatibleError, match=rf"{size:,} bytes, do not fit .* trust_weights=True"):
        read(path, size=size)


def test_no_weights_at_all() -> None:
    """A step without weights has memory of size 0 that compiled code takes: aligned and not NULL."""
    weights = copy_weights(b"", sha256(b"").hexdigest())
    assert weights is not None
    assert (weights.size, address_of(weights) % 64) == (0, 0)
    assert address_of(weights) != 0


def test_bundles_share_by_content(tmp_path: Path) -> None:
    """A bundle in memory, its folder and a copy of the folder have one copy of the weights between them."""
    bundle = make_tiny_bundle()
    bundle.save(tmp_path / "one.astro")
    shutil.copytree(tmp_path / "one.astro", tmp_path / "two.astro")
    weights = bundle.weights()
    assert Bundle.load(tmp_path / "one.astro").weights() is weights
    assert Bundle.load(tmp_path / "two.astro").weights() is weights
    assert Bundle.load(tmp_path / "two.astro").weights(trust=True) is not weights
