"""What a library says about itself, compared with its manifest."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import POINTER

from astroedge.abi.layout import DRAWS, DTYPES, INITIALS, AstroField, AstroInfo, AstroLayout
from astroedge.abi.limits import ABI_VERSION, ALIGNMENT
from astroedge.bundle.initial_state import fill_bits
from astroedge.bundle.manifest import BufferField, InputField, Manifest, StateField
from astroedge.errors import BundleError, IncompatibleError


def check_description(library: ctypes.CDLL, manifest: Manifest) -> None:
    """Compare everything `astro_describe` says with the manifest.

    Raises IncompatibleError for another binary interface, BundleError when the two describe different steps.
    """
    library.astro_describe.restype = POINTER(AstroInfo)
    library.astro_describe.argtypes = ()
    info: AstroInfo = library.astro_describe().contents
    if info.abi_version != ABI_VERSION or info.size < ctypes.sizeof(AstroInfo):
        raise IncompatibleError(
            f"The bundle's library has binary interface {info.abi_version}, this AstroEdge calls {ABI_VERSION}; "
            "compile the graph again with this release."
        )
    said, promised = {**_said(info), "threads": hasattr(library, "astro_work")}, _promised(manifest)
    different = [name for name in promised if said[name] != promised[name]]
    if different:
        raise BundleError(
            f"The bundle's library and its manifest disagree on {different[0]}; their files come from different "
            "bundles: copy the bundle again."
        )


def _said(info: AstroInfo) -> dict[str, object]:
    """What a library says, in the form of `_promised`."""
    golden = [info.golden.ticks[index] for index in range(info.golden.count)]
    activity = [info.activity[index] for index in range(info.activity_count)]
    return {
        "alignment": info.alignment,
        "the model": info.model.decode("utf-8"),
        "the target": info.target.decode("utf-8"),
        "the CPU features": info.features.decode("utf-8"),
        "the graph": info.graph_sha256.decode("ascii"),
        "the weights": (info.weights_sha256.decode("ascii"), info.weights_size),
        "the inputs": (info.inputs.size, [(*_said_field(item), *_said_input(item)) for item in _fields(info.inputs)]),
        "the outputs": (info.outputs.size, [_said_field(item) for item in _fields(info.outputs)]),
        "the state": (info.state.size, [(*_said_field(item), *_said_initial(item)) for item in _fields(info.state)]),
        "the workspace": info.workspace_size,
        "the activity counters": [(item.name.decode("utf-8"), item.size, item.offset) for item in activity],
        "the golden trace": (
            info.golden.seed,
            [(item.tick, item.state.decode("ascii"), item.outputs.decode("ascii")) for item in golden],
        ),
    }


def _promised(manifest: Manifest) -> dict[str, object]:
    """What a manifest says that its library says too."""
    layout, golden = manifest.layout, manifest.golden
    return {
        "alignment": ALIGNMENT,
        "the model": manifest.model,
        "the target": manifest.target.name,
        "the CPU features": " ".join(manifest.target.features),
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


def _said_field(item: AstroField) -> tuple[object, ...]:
    shape = tuple(item.shape[axis] for axis in range(item.rank))
    return item.name.decode("utf-8"), shape, DTYPES[item.dtype], item.offset, item.nbytes


def _said_input(item: AstroField) -> tuple[object, ...]:
    return bool(item.check_nan), bool(item.check_range), item.low, item.high, DRAWS[item.draw], item.draw_parameter


def _said_initial(item: AstroField) -> tuple[object, ...]:
    return item.initial, item.initial_bits, item.initial_offset


def _field(item: BufferField) -> tuple[object, ...]:
    return item.name, item.shape, item.dtype, item.offset, item.nbytes


def _input(item: InputField) -> tuple[object, ...]:
    return item.check_nan, item.check_range, item.low, item.high, item.draw, item.draw_parameter


def _initial(item: StateField) -> tuple[object, ...]:
    filled = item.fill is not None
    return INITIALS.index("fill" if filled else "weights"), fill_bits(item) if filled else 0, item.weights_offset
