"""The rules a manifest keeps beyond its form: what a loader relies on before it hands buffers to native code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from math import prod

import numpy as np

from astroedge.abi.layout import DEVICES, DTYPES
from astroedge.abi.limits import (
    ABI_VERSION,
    ALIGNMENT,
    LARGEST_BUFFER,
    LARGEST_RANK,
    LARGEST_TABLE,
    MAX_THREADS,
    SPIKE_BITS,
    UNIFORM_EXPONENTS,
)
from astroedge.bundle.drawn_values import table_is_right
from astroedge.bundle.initial_state import fill_value
from astroedge.bundle.manifest import COST_RATES, BufferField, Device, FileRecord, InputField, Layout, Manifest
from astroedge.errors import BundleError, IncompatibleError
from astroedge.step.assets import is_asset_name
from astroedge.step.spec import StateSpec, TensorSpec

_SHA256 = re.compile(r"[0-9a-f]{64}")


def check_manifest(manifest: Manifest) -> None:
    """Check names, sizes, offsets and digests against each other.

    Raises BundleError for the first rule that is broken, IncompatibleError for another version of the C interface.
    """
    if manifest.abi_version != ABI_VERSION:
        raise IncompatibleError(
            f"The bundle has binary interface {manifest.abi_version!r}, this AstroEdge calls {ABI_VERSION}; compile "
            "the graph again with this release or install the release that compiled it."
        )
    layout = manifest.layout
    for name, size, fields in (
        ("inputs", layout.inputs_size, layout.inputs),
        ("outputs", layout.outputs_size, layout.outputs),
        ("state", layout.state_size, layout.state),
        ("weights", layout.weights_size, layout.weights),
    ):
        _check_buffer(name, size, fields)
    _check_agreement("input", layout.inputs, manifest.step.inputs)
    _check_agreement("output", layout.outputs, manifest.step.outputs)
    _check_agreement("state", [item for item in layout.state if not item.private], manifest.step.states)
    for item in layout.inputs:
        _check_input(item)
    _check_initial_values(layout)
    _check_activity(manifest)
    _check_kernels(manifest)
    _check_files(manifest)
    _check_golden(manifest)
    counts = (manifest.default_threads, manifest.threads)
    right = all(map(_is_count, counts)) and 1 <= counts[0] <= counts[1] <= MAX_THREADS
    _require(right, f"default_threads and threads are {counts}")
    if manifest.device is not None:
        _check_device(manifest.device, counts)


def _require(right: bool, message: str) -> None:
    if not right:
        raise BundleError(f"The manifest contradicts itself: {message}; compile the graph again.")


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_buffer_size(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_BUFFER and value % ALIGNMENT == 0


def _check_buffer(buffer: str, size: int, fields: Sequence[BufferField]) -> None:
    """Every field is aligned, as large as its shape says and inside the buffer; no two share a name or a byte."""
    _require(_is_buffer_size(size), f"the {buffer} buffer has size {size!r}")
    _require(buffer == "weights" or len(fields) <= LARGEST_TABLE, f"the {buffer} buffer has {len(fields)} fields")
    names = [item.name for item in fields]
    _require(len(set(names)) == len(names), f"two fields of {buffer} have one name")
    for item in fields:
        where = f"{item.name!r} in {buffer}"
        _require(item.dtype in DTYPES, f"{where} has dtype {item.dtype!r}")
        is_shape = len(item.shape) <= LARGEST_RANK and all(_is_count(extent) and extent > 0 for extent in item.shape)
        _require(is_shape, f"{where} has shape {item.shape!r}")
        nbytes = prod(item.shape) * np.dtype(item.dtype).itemsize
        _require(_is_count(item.nbytes) and item.nbytes == nbytes, f"{where} has {item.nbytes!r} bytes")
        _require(_is_count(item.offset) and item.offset % ALIGNMENT == 0, f"{where} starts at {item.offset!r}")
        _require(item.offset + item.nbytes <= size, f"{where} ends behind the buffer")
    if buffer == "weights":
        return  # read only: two names may well stand for the same numbers
    for left, right in pairwise(sorted(fields, key=lambda item: item.offset)):
        _require(left.offset + left.nbytes <= right.offset, f"{left.name!r} and {right.name!r} overlap in {buffer}")


def _check_agreement(kind: str, fields: Sequence[BufferField], specs: Sequence[TensorSpec | StateSpec]) -> None:
    """The buffer holds exactly the arrays of the step description."""
    held = {item.name: (item.shape, item.dtype) for item in fields}
    promised = {item.name: (item.shape, item.dtype) for item in specs}
    different = sorted(name for name in held.keys() | promised.keys() if held.get(name) != promised.get(name))
    _require(not different, f"layout and step disagree on {kind} {different[:1]}")


def _check_input(item: InputField) -> None:
    """The checks and the drawing rule of an input fit its dtype."""
    floating = item.dtype.startswith("float")
    _require(type(item.check_nan) is bool and (floating or not item.check_nan), f"{item.name!r} is checked for NaN")
    _require(type(item.check_range) is bool and not (floating and item.check_range), f"{item.name!r} is range-checked")
    numbers = all(type(number) is int for number in (item.low, item.high, item.draw_parameter))
    _require(numbers and (item.low < item.high or not item.check_range), f"{item.name!r} has a range that is none")
    parameter = item.draw_parameter
    if item.draw == "index":
        right = not floating and 0 < item.high - item.low < 2**32 and _holds(item.dtype, item.low, item.high - 1)
    elif item.draw == "spike":
        right = 0 <= parameter <= 2**SPIKE_BITS
    elif item.draw == "values":
        right = table_is_right(item)
    else:
        low, high = UNIFORM_EXPONENTS.get(item.dtype, (1, 0))
        right = item.draw == "uniform" and low <= parameter <= high
    right = right and (item.draw == "values" or not item.values)
    _require(right, f"{item.name!r} of dtype {item.dtype} cannot be drawn as {item.draw!r} with {parameter!r}")


def _holds(dtype: str, low: int, high: int) -> bool:
    """Whether an integer dtype, or bool, holds both numbers."""
    if dtype == "bool":
        return low >= 0 and high <= 1
    limits = np.iinfo(dtype)
    return int(limits.min) <= low and high <= int(limits.max)


def _check_initial_values(layout: Layout) -> None:
    for item in layout.state:
        if item.fill is not None:
            fill_value(item)
            continue
        inside = _is_count(item.weights_offset) and item.weights_offset + item.nbytes <= layout.weights_size
        _require(inside, f"the initial value of {item.name!r} lies outside the weights")


def _check_activity(manifest: Manifest) -> None:
    size = manifest.layout.workspace_size
    _require(_is_buffer_size(size), f"the workspace has size {size!r}")
    _require(len(manifest.activity) <= LARGEST_TABLE, f"it has {len(manifest.activity)} counters")
    for item in manifest.activity:
        inside = _is_count(item.offset) and item.offset % 8 == 0 and item.offset + 8 <= size
        _require(inside and _is_count(item.size), f"the counter of {item.name!r} lies outside the workspace")


def _check_kernels(manifest: Manifest) -> None:
    """What is told of a kernel's cost names a counter and is as long as it can be."""
    counters = {item.name for item in manifest.activity}
    for item in manifest.kernels:
        _require(item.spikes is None or item.spikes in counters, f"{item.name!r} reads what nothing counts")
        right = len(item.cycles) in (0, 1, len(COST_RATES)) and all(
            map(_is_count, (item.nbytes, item.row, *item.cycles))
        )
        _require(right, f"the cost of {item.name!r} cannot be")


def _check_device(device: Device, threads: tuple[int, int]) -> None:
    """A GPU's code has a name and a size that C can hold, and images that differ in what they are for."""
    _require(device.kind in DEVICES, f"its device is {device.kind!r}")
    _require(threads == (1, 1), f"a GPU computes its ticks and it has threads {threads}")
    _require(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", device.kernel) is not None, f"a kernel is {device.kernel!r}")
    sizes = (device.block, device.blocks, device.barriers)
    right = all(map(_is_count, sizes)) and 1 <= device.block <= 1024 and 1 <= device.blocks < 2**31
    _require(right, f"block, blocks and barriers are {sizes}")
    _require(isinstance(device.reason, str), f"the reason of its barriers is {device.reason!r}")
    for image in device.images:
        where = f"the {image.kind!r} for {image.capability!r}"
        _require(image.kind in ("cubin", "ptx") and _is_count(image.capability), f"it has {where}")
        digest = isinstance(image.sha256, str) and _SHA256.fullmatch(image.sha256) is not None
        _require(_is_count(image.nbytes) and digest, f"{where} has no size or SHA-256")
    kinds = {(image.kind, image.capability) for image in device.images}
    _require(len(kinds) == len(device.images) and 1 <= len(kinds) <= LARGEST_TABLE, "its images are none, or two alike")


def _check_files(manifest: Manifest) -> None:
    digests = [
        *(record.sha256 for record in (manifest.library, manifest.weights, *manifest.assets)),
        *(digest for tick in manifest.golden.ticks for digest in (tick.state, tick.outputs)),
        manifest.graph_sha256,
        manifest.reference_sha256,
    ]
    for digest in digests:
        _require(isinstance(digest, str) and _SHA256.fullmatch(digest) is not None, f"{digest!r} is not a SHA-256")
    same_size = manifest.weights.size == manifest.layout.weights_size
    _require(same_size, "the weights file and the weights buffer differ in size")
    _check_name(manifest.library, f"step-{manifest.library.sha256[:16]}.so")
    _check_name(manifest.weights, f"weights-{manifest.weights.sha256[:16]}.bin")
    for record in manifest.assets:
        _require(is_asset_name(record.name), f"{record.name!r} is not a plain file name")
    names = [record.name for record in manifest.assets]
    _require(all(before < after for before, after in pairwise(names)), "its assets are not in the order of their names")
    _require(len(names) <= LARGEST_TABLE, f"it has {len(names)} assets")


def _check_golden(manifest: Manifest) -> None:
    ticks = [item.tick for item in manifest.golden.ticks]
    ascending = all(before < after for before, after in pairwise((0, *ticks)))
    _require(ascending and len(ticks) <= LARGEST_TABLE, "the ticks of its golden trace do not ascend from 1")


def _check_name(record: FileRecord, expected: str) -> None:
    _require(_is_count(record.size), f"{expected} has size {record.size!r}")
    _require(record.name == expected, f"a file is called {record.name!r} and must be {expected!r}")
