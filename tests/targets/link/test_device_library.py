"""Linking a GPU's code into the library of a bundle."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import BundleFiles
from astroedge.bundle.manifest_file import decode_manifest, encode_manifest
from astroedge.errors import BundleError, IncompatibleError
from astroedge.runtimes import load
from astroedge.targets import link_bundle
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.compiler.pipeline import CompiledStep
from astroedge.targets.cuda.device_code import DeviceCode, Image
from astroedge.targets.link.linker import link_device_library
from tests.support import elf
from tests.support.bundles import make_tiny_bundle, tiny_manifest, weights_bytes
from tests.support.gpu_bundles import make_gpu_bundle

ENTRIES = {
    *("astro_describe", "astro_run", "astro_step", "astro_open_device", "astro_close_device", "astro_read_device"),
    *("astro_write_device", "astro_device_message"),
}
# What glibc has had for all targets since 2.14; a driver needs glibc too.
TAKEN = {
    *("calloc", "dlerror", "dlopen", "dlsym", "free", "getpid", "memcpy", "memset", "nanosleep"),
    *("snprintf", "vsnprintf"),
}
CODE = DeviceCode("a_kernel", 128, 4, 3, (Image(72, "cubin", bytes(range(256)) * 5), Image(72, "ptx", b".version\n\0")))


@pytest.mark.parametrize("name", ["native", "jetson-orin-nano"])
def test_library_is_one_for_the_processor(name: str) -> None:
    """It exports what opens a device too, takes a few functions of the C library and has the images, always alike."""
    target = resolve_target(name)
    manifest = replace(tiny_manifest(target), device=CODE.record)
    library = link_device_library(CODE, manifest, target)
    assert elf.machine(library) == target.arch
    exported, taken = elf.dynamic_symbols(library)
    assert exported == ENTRIES
    assert taken <= TAKEN
    assert elf.page_alignment(library) == 65536
    assert all(image.data in library for image in CODE.images)
    assert link_device_library(CODE, manifest, target) == library
    assert b"/tmp" not in library


def test_a_compiled_step_with_device_code_becomes_such_a_bundle() -> None:
    """The manifest has what inspect tells of the images, through its file and back; a processor's has none."""
    native = resolve_target("native")
    bundle = link_bundle(CompiledStep(b"", None, weights_bytes(), tiny_manifest(native), device=CODE), native)
    manifest, _ = decode_manifest(encode_manifest(bundle.manifest))
    assert manifest.device == CODE.record
    record = json.loads(encode_manifest(manifest))["device"]
    assert (record["kernel"], record["images"][0]["nbytes"], record["images"][1]["kind"]) == ("a_kernel", 1280, "ptx")
    assert "device" not in json.loads(encode_manifest(make_tiny_bundle().manifest))


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "abacus"},
        {"kernel": "a kernel"},
        {"block": 2000},
        {"blocks": 0},
        {"barriers": -1},
        {"reason": 3},
        {"images": ()},
        {"images": (CODE.record.images[0],) * 2},
        {"images": (replace(CODE.record.images[0], kind="elf"),)},
        {"images": (replace(CODE.record.images[0], sha256="0"),)},
    ],
)
def test_a_device_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    """A manifest is checked before any code is loaded."""
    manifest = replace(tiny_manifest(resolve_target("native")), device=replace(CODE.record, **wrong))  # type: ignore[arg-type]
    with pytest.raises(BundleError, match="contradicts itself"):
        encode_manifest(manifest)


def test_a_gpus_bundle_needs_a_driver_only_to_run(tmp_path: Path) -> None:
    """It is opened, checked and described; a session is refused where no driver, or none for its code, is."""
    native = resolve_target("native")
    step = CompiledStep(b"", None, weights_bytes(), tiny_manifest(native), device=CODE)
    link_bundle(step, native).save(tmp_path / "gpu.astro")
    bundle = Bundle.load(tmp_path / "gpu.astro")
    bundle.check()
    assert bundle.manifest.device == CODE.record
    with pytest.raises(IncompatibleError, match=r"no NVIDIA driver here|no code that runs on"):
        load(bundle)


def test_library_and_manifest_agree_on_who_computes() -> None:
    """A library for a GPU under a manifest without one is refused before anything is opened."""
    bundle = make_gpu_bundle()
    manifest = replace(bundle.manifest, device=None)
    with pytest.raises(BundleError, match="linked for another"):
        load(Bundle(manifest, BundleFiles(bundle.library(), weights_bytes())))
