"""The tiny layer for a GPU, from a kernel written by hand (tests/support/tiny_tick.cu)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import BundleFiles, Manifest
from astroedge.targets.boards.target import Target, resolve_target
from astroedge.targets.cuda.build_images import build_images
from astroedge.targets.cuda.device_code import DeviceCode
from astroedge.targets.cuda.nvrtc import find_nvrtc, load_nvrtc
from astroedge.targets.link.linker import link_device_library
from tests.support.bundles import tiny_golden, tiny_manifest, weights_bytes

TINY_KERNEL = Path(__file__).with_name("tiny_tick.cu").read_text(encoding="utf-8")


@cache
def tiny_device_code(chips: Sequence[str] = ("sm_72", "sm_87")) -> DeviceCode:
    """The layer's kernel for some chips, and the PTX of the oldest of them; two blocks of it do something."""
    images = build_images(TINY_KERNEL, chips, load_nvrtc(find_nvrtc()))
    return DeviceCode("astroedge_run", 128, 2, 2, images)


@cache
def make_gpu_bundle(target: str | Target = "native", code: DeviceCode | None = None) -> Bundle:
    """A complete bundle of the layer for a GPU beside a processor, with the golden trace of the processor's bundle."""
    resolved, code = resolve_target(target), code or tiny_device_code()
    return _link(replace(tiny_manifest(resolved), golden=tiny_golden(), device=code.record), resolved, code)


def make_wide_bundle(inputs_size: int = 1 << 14, outputs_size: int = 3 << 12) -> Bundle:
    """The same with records of inputs and outputs that have far more bytes than fields, and without a golden trace."""
    native, code = resolve_target("native"), tiny_device_code()
    manifest = tiny_manifest(native)
    layout = replace(manifest.layout, inputs_size=inputs_size, outputs_size=outputs_size)
    return _link(replace(manifest, layout=layout, device=code.record), native, code)


def _link(manifest: Manifest, target: Target, code: DeviceCode) -> Bundle:
    return Bundle(manifest, BundleFiles(link_device_library(code, manifest, target), weights_bytes()))
