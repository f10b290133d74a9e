"""What a library says about itself, compared with its manifest.

The numbers of a library are whatever whoever made it wrote: how many elements a table of it has is compared before the
table is read, and no code is looked up without a look at its range.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import POINTER

from astroedge.abi.layout import DRAWS, DTYPES, INITIALS, AstroField, AstroInfo, AstroLayout
from astroedge.abi.limits import ABI_VERSION, ALIGNMENT
from astroedge.bundle.drawn_values import value_bits
from astroedge.bundle.initial_state import fill_bits
from astroedge.bundle.manifest import BufferField, InputField, Manifest, StateField
from astroedge.errors import BundleError, IncompatibleError


def check_description(library: ctypes.CDLL, manifest: Manifest, linked_digest: str) -> None:
    """Compare everything `astro_describe` says with the manifest, and with its digest as the library has it.

    Raises IncompatibleError for another binary interface, BundleError when the two describe different steps.
    """
    library.astro_describe.restype = POINTER(AstroInfo)
    library.astro_describe.argtypes = ()
    info: AstroInfo = library.astro_describe().contents
    size = AstroInfo.device.offset  # what an earlier library, of the time before GPUs, tells
    if (info.abi_version, info.alignment) != (ABI_VERSION, ALIGNMENT) or info.size < size:
        raise IncompatibleError(
            f"The bundle's library has binary interface {info.abi_version} and {info.size} bytes to tell of itself, "
            f"this AstroEdge calls {ABI_VERSION} and reads {size}; compile the graph again with this release."
        )
    counts, expected = _counts(info), _promised_counts(manifest)
    different = [name for name in expected if counts[name] != expected[name]]
    if not different and _table_sizes(info) != [len(item.values) for item in manifest.layout.inputs]:
        different = ["the inputs"]
    if not different:
        said = {**_said(info, manifest), "threads": hasattr(library, "astro_work")}
        promised = {**_promised(manifest), "the manifest": linked_digest}
        different = [name for name in promised if said[name] != promised[name]]
    if different:
        raise BundleError(
            f"The bundle's library and its manifest disagree on {different[0]}; their files come from different "
            "bundles: copy the bundle again."
        )


def _counts(info: AstroInfo) -> dict[str, int]:
    """How long the tables of a library are."""
    return {
        "the inputs": info.inputs.count,
        "the outputs": info.outputs.count,
        "the state": info.state.count,
        "the activity counters": info.activity_count,
        "the golden trace": info.golden.count,
    }


def _promised_counts(manifest: Manifest) -> dict[str, int]:
    """How long a manifest says they are."""
    layout = manifest.layout
    return {
        "the inputs": len(layout.inputs),
        "the outputs": len(layout.outputs),
        "the state": len(layout.state),
        "the activity counters": len(manifest.activity),
        "the golden trace": len(manifest.golden.ticks),
    }


def _table_sizes(info: AstroInfo) -> list[int]:
    """How long the tables are that a library's inputs are drawn from."""
    return [item.value_count for item in _fields(info.inputs)]


def _said(info: AstroInfo, manifest: Manifest) -> dict[str, object]:
    """What a library says, in the form of `_promised`; its tables are as long as the manifest says."""
    layout = manifest.layout
    inputs, outputs, state = (
        list(zip(_fields(said), fields, strict=True))
        for said, fields in ((info.inputs, layout.inputs), (info.outputs, layout.outputs), (info.state, layout.state))
    )
    golden = [info.golden.ticks[index] for index in range(info.golden.count)]
    activity = [info.activity[index] for index in range(info.activity_count)]
    return {
        "the model": _text(info.model),
        "the target": _text(info.target),
        "the CPU features": _text(info.features),
        "the device": _text(info.device) if info.size > AstroInfo.device.offset else "",
        "the kernels": info.stamps if info.size >= ctypes.sizeof(AstroInfo) else manifest.stamps,
        "the graph": _text(info.graph_sha256),
        "the weights": (_text(info.weights_sha256), info.weights_size),
        "the manifest": _text(info.manifest_sha256),
        "the inputs": (info.inputs.size, [(*_said_field(item, like), *_said_input(item)) for item, like in inputs]),
        "the outputs": (info.outputs.size, [_said_field(item, like) for item, like in outputs]),
        "the state": (info.state.size, [(*_said_field(item, like), *_said_initial(item)) for item, like in state]),
        "the workspace": info.workspace_size,
        "the activity counters": [(_text(item.name), item.size, item.offset) for item in activity],
        "the golden trace": (
            info.golden.seed,
            [(item.tick, _text(item.state), _text(item.outputs)) for item in golden],
        ),
    }


def _promised(manifest: Manifest) -> dict[str, object]:
    """What a manifest says that its library says too."""
    layout, golden = manifest.layout, manifest.golden
    return {
        "the model": manifest.model,
        "the target": manifest.target.name,
        "the CPU features": " ".join(manifest.target.features),
        "the device": "" if manifest.device is None else manifest.device.kind,
        "the kernels": manifest.stamps,
        "the graph": manifest.graph_sha256,
        "the weights": (manifest.weights.sha256, layout.weights_size),
        "the inputs": (layout.inputs_size, [(*_field(item), *_input(item)) for item in layout.inputs]),
        "the outputs": (layout.outputs_size, [_field(item) for item in layout.outputs]),
        "the state": (layout.state_size, [(*_field(item), *_initial(item)) for item in layout.state]),
        "the workspace": layout.workspace_size,
        "the activity counters": [(item.name, item.size, item.offset) for item in manifest.activity],
        "the golden trace": (golden.seed, [(item.tick, item.state, item.outputs) for item in golden.ticks]),
        "threads": manifest.threads > 1,
    }


def _fields(layout: AstroLayout) -> Sequence[AstroField]:
    return [layout.fields[index] for index in range(layout.count)]


def _said_field(item: AstroField, like: BufferField) -> tuple[object, ...]:
    shape = tuple(item.shape[axis] for axis in range(item.rank)) if item.rank == len(like.shape) else item.rank
    return _text(item.name), shape, _word(DTYPES, item.dtype), item.offset, item.nbytes


def _said_input(item: AstroField) -> tuple[object, ...]:
    draw = _word(DRAWS, item.draw)
    values = [(item.values[index].below, item.values[index].bits) for index in range(item.value_count)]
    return bool(item.check_nan), bool(item.check_range), item.low, item.high, draw, item.draw_parameter, values


def _text(content: bytes | None) -> str:
    """A C string; a pointer that is NULL is none that a manifest has."""
    return "\0" if content is None else content.decode("utf-8", "replace")


def _word(words: Sequence[str], code: int) -> str | int:
    """The word for a code, or the code itself where there is none."""
    return words[code] if code < len(words) else code


def _said_initial(item: AstroField) -> tuple[object, ...]:
    return item.initial, item.initial_bits, item.initial_offset


def _field(item: BufferField) -> tuple[object, ...]:
    return item.name, item.shape, item.dtype, item.offset, item.nbytes


def _input(item: InputField) -> tuple[object, ...]:
    values = list(zip((below for _, below in item.values), value_bits(item), strict=True))
    return item.check_nan, item.check_range, item.low, item.high, item.draw, item.draw_parameter, values


def _initial(item: StateField) -> tuple[object, ...]:
    filled = item.fill is not None
    return INITIALS.index("fill" if filled else "weights"), fill_bits(item) if filled else 0, item.weights_offset
