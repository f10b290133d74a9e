"""Every rule a manifest keeps: broken once, it is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from astroedge.bundle.manifest import FileRecord, Layout, Manifest
from astroedge.bundle.manifest_check import check_manifest
from astroedge.errors import BundleError
from tests.support.bundles import make_tiny_bundle


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    """A manifest that keeps every rule."""
    return make_tiny_bundle(assets={"labels.txt": b"a\n"}).manifest


def changed_field(layout: Layout, buffer: str, index: int, **changes: Any) -> Layout:
    """A layout with one field of one buffer changed."""
    items = list(getattr(layout, buffer))
    items[index] = replace(items[index], **changes)
    return replace(layout, **{buffer: tuple(items)})


TABLE = (("0x0.0p+0", 5), ("0x1.0p+0", 2**53))
LAYOUTS: dict[str, Callable[[Layout], Layout]] = {
    "size no multiple of 64": lambda layout: replace(layout, state_size=390),
    "size no integer": lambda layout: replace(layout, inputs_size=192.0),  # type: ignore[arg-type]
    "field behind the end": lambda layout: replace(layout, outputs_size=64),
    "field unaligned": lambda layout: changed_field(layout, "state", 3, offset=328),
    "negative offset": lambda layout: changed_field(layout, "state", 0, offset=-64),
    "two fields in one place": lambda layout: changed_field(layout, "outputs", 1, offset=0),
    "fields that overlap": lambda layout: changed_field(layout, "state", 2, offset=64),
    "bytes and shape differ": lambda layout: changed_field(layout, "outputs", 0, nbytes=20),
    "shape with 0": lambda layout: changed_field(layout, "weights", 0, shape=(0, 4), nbytes=0),
    "unknown dtype": lambda layout: changed_field(layout, "outputs", 0, dtype="bfloat16", shape=(1, 2)),
    "one name twice": lambda layout: changed_field(layout, "weights", 1, name="embedding"),
    "input not in the step": lambda layout: changed_field(layout, "inputs", 0, name="tokens"),
    "input of another dtype": lambda layout: changed_field(layout, "inputs", 0, dtype="int32", nbytes=4),
    "output missing": lambda layout: replace(layout, outputs=layout.outputs[:1]),
    "public state missing": lambda layout: changed_field(layout, "state", 0, private=True),
    "private state made public": lambda layout: changed_field(layout, "state", 3, private=False),
    "initial value outside the weights": lambda layout: changed_field(layout, "state", 0, weights_offset=3648),
    "fill that is no number": lambda layout: changed_field(layout, "state", 1, fill="one"),
    "fill that the dtype lacks": lambda layout: changed_field(layout, "state", 2, fill=(0.5).hex()),
    "NaN check of an integer": lambda layout: changed_field(layout, "inputs", 0, check_nan=True),
    "range check of a float": lambda layout: changed_field(layout, "inputs", 1, check_range=True, high=2),
    "range without numbers": lambda layout: changed_field(layout, "inputs", 0, low=5, high=5),
    "unknown draw": lambda layout: changed_field(layout, "inputs", 1, draw="normal"),
    "index drawn for a float": lambda layout: changed_field(layout, "inputs", 1, draw="index", high=4),
    "index the dtype lacks": lambda layout: changed_field(layout, "inputs", 0, high=2**63 + 1),
    "range too wide to draw": lambda layout: changed_field(layout, "inputs", 0, high=2**32 + 1),
    "probability above 1": lambda layout: changed_field(layout, "inputs", 1, draw="spike", draw_parameter=2**53 + 1),
    "uniform for an integer": lambda layout: changed_field(layout, "inputs", 0, draw="uniform"),
    "values without a table": lambda layout: changed_field(layout, "inputs", 1, draw="values"),
    "a table that nothing draws from": lambda layout: changed_field(layout, "inputs", 1, values=TABLE),
    "a table without an end": lambda layout: changed_field(layout, "inputs", 1, draw="values", values=TABLE[:1]),
    "a table that descends": lambda layout: changed_field(
        layout, "inputs", 1, draw="values", values=(("0x1.0p+0", 9), *TABLE)
    ),
    "a value that the dtype lacks": lambda layout: changed_field(
        layout, "inputs", 2, draw="values", values=(("0x1.0p+99", 2**53),)
    ),
    "an infinite value": lambda layout: changed_field(layout, "inputs", 1, draw="values", values=(("inf", 2**53),)),
    "a table of truth values": lambda layout: changed_field(
        layout, "inputs", 2, dtype="bool", draw="values", values=TABLE
    ),
    "exponent out of range": lambda layout: changed_field(layout, "inputs", 2, draw_parameter=16),
    "workspace no multiple of 64": lambda layout: replace(layout, workspace_size=8),
}


@pytest.mark.parametrize("change", LAYOUTS.values(), ids=LAYOUTS)
def test_layout_rule(manifest: Manifest, change: Callable[[Layout], Layout]) -> None:
    """A layout that native code could not be trusted with is refused in one line."""
    with pytest.raises(BundleError) as caught:
        check_manifest(replace(manifest, layout=change(manifest.layout)))
    assert "\n" not in str(caught.value)


FILES: dict[str, Callable[[Manifest], Manifest]] = {
    "library with a path": lambda item: replace(item, library=replace(item.library, name="../evil.so")),
    "library named for another digest": lambda item: replace(item, library=replace(item.library, sha256="0" * 64)),
    "weights of another size": lambda item: replace(item, weights=replace(item.weights, size=64)),
    "weights with a free name": lambda item: replace(item, weights=replace(item.weights, name="weights.bin")),
    "digest that is none": lambda item: replace(item, graph_sha256="abc"),
    "digest of weights that is none": lambda item: replace(item, dequantised_sha256="abc"),
    "asset with a path": lambda item: replace(item, assets=(replace(item.assets[0], name="a/b"),)),
    "asset above": lambda item: replace(item, assets=(replace(item.assets[0], name=".."),)),
    "hidden asset": lambda item: replace(item, assets=(replace(item.assets[0], name=".profile"),)),
    "asset with a line break": lambda item: replace(item, assets=(replace(item.assets[0], name="a\n"),)),
    "one asset twice": lambda item: replace(item, assets=item.assets * 2),
    "counter outside": lambda item: replace(item, activity=(replace(item.activity[0], offset=64),)),
    "counter unaligned": lambda item: replace(item, activity=(replace(item.activity[0], offset=4),)),
    "kernel of a counter that is none": lambda item: replace(item, kernels=(replace(item.kernels[0], spikes="w"),)),
    "kernel of fewer bytes than none": lambda item: replace(item, kernels=(replace(item.kernels[0], nbytes=-1),)),
    "kernel with estimates at two rates": lambda item: replace(
        item, kernels=(replace(item.kernels[0], cycles=(1, 2)),)
    ),
    "golden hash that is none": lambda item: replace(
        item, golden=replace(item.golden, ticks=(replace(item.golden.ticks[0], state="ABC"),))
    ),
}


@pytest.mark.parametrize("change", FILES.values(), ids=FILES)
def test_file_and_counter_rules(manifest: Manifest, change: Callable[[Manifest], Manifest]) -> None:
    """Names are plain, made from the digest, and digests are digests."""
    with pytest.raises(BundleError):
        check_manifest(change(manifest))


@pytest.mark.parametrize("counts", [(0, 0), (2, 1), (1, 65), (1, 2.0), (-1, 4)])
def test_numbers_of_threads(manifest: Manifest, counts: tuple[int, int]) -> None:
    """A bundle advises at least one thread, and no more than it can be divided among, which are 64 at most."""
    with pytest.raises(BundleError, match="default_threads and threads"):
        check_manifest(replace(manifest, default_threads=counts[0], threads=counts[1]))


def test_complete_manifest_passes(manifest: Manifest) -> None:
    """The manifest the other tests start from keeps every rule."""
    check_manifest(manifest)
    assert isinstance(manifest.assets[0], FileRecord)
