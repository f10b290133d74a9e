"""The manifest as C source: the constant `astro_info` that a bundle's library returns from `astro_describe`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from astroedge.abi.layout import DRAWS, DTYPES, INITIALS
from astroedge.abi.limits import ALIGNMENT
from astroedge.bundle.drawn_values import value_bits
from astroedge.bundle.initial_state import fill_bits
from astroedge.bundle.manifest import Activity, BufferField, GoldenTick, InputField, Manifest, StateField
from astroedge.bundle.manifest_file import linked_digest
from astroedge.targets.link.c_text import c_text


def render_shim_data(manifest: Manifest) -> str:
    """The C source that defines `astroedge_info`; the same manifest always gives the same text.

    It needs nothing that is known only after linking: the records of the library and of the assets are not read. Of
    all the rest it holds a digest, so that the library belongs to this manifest alone.

    Raises LinkError for a text that C cannot hold (one with a NUL), BundleError for NaN in the manifest.
    """
    layout = manifest.layout
    fields = {"inputs": layout.inputs, "outputs": layout.outputs, "state": layout.state}
    return "\n".join(
        [
            '#include "astro_abi.h"',
            *(line for kind, items in fields.items() for line in _render_fields(kind, items)),
            *_render_table("astro_activity", "activity", (_render_activity(item) for item in manifest.activity)),
            *_render_table("astro_golden_tick", "golden", (_render_tick(item) for item in manifest.golden.ticks)),
            *_render_info(manifest),
            "",
        ]
    )


def _render_info(manifest: Manifest) -> list[str]:
    layout, golden = manifest.layout, manifest.golden
    return [
        '__attribute__((visibility("hidden"))) const astro_info astroedge_info = {',
        "    .size = sizeof(astro_info),",
        f"    .abi_version = {manifest.abi_version}u,",
        f"    .alignment = {ALIGNMENT}u,",
        f"    .model = {c_text(manifest.model)},",
        f"    .target = {c_text(manifest.target.name)},",
        f"    .graph_sha256 = {c_text(manifest.graph_sha256)},",
        f"    .weights_sha256 = {c_text(manifest.weights.sha256)},",
        f"    .manifest_sha256 = {c_text(linked_digest(manifest))},",
        f"    .features = {c_text(' '.join(manifest.target.features))},",
        f"    .inputs = {{{_unsigned(layout.inputs_size)}, {len(layout.inputs)}u, {_table(layout.inputs, 'inputs')}}},",
        f"    .outputs = {{{_unsigned(layout.outputs_size)}, {len(layout.outputs)}u, "
        f"{_table(layout.outputs, 'outputs')}}},",
        f"    .state = {{{_unsigned(layout.state_size)}, {len(layout.state)}u, {_table(layout.state, 'state')}}},",
        f"    .weights_size = {_unsigned(layout.weights_size)},",
        f"    .workspace_size = {_unsigned(layout.workspace_size)},",
        f"    .activity_count = {len(manifest.activity)}u,",
        f"    .activity = {_table(manifest.activity, 'activity')},",
        f"    .golden = {{{_unsigned(golden.seed)}, {len(golden.ticks)}u, {_table(golden.ticks, 'golden')}}},",
        f"    .device = {c_text('' if manifest.device is None else manifest.device.kind)},",
        f"    .stamps = {_unsigned(manifest.stamps)},",
        "};",
    ]


def _render_fields(kind: str, items: Sequence[BufferField]) -> list[str]:
    """The shapes and the field table of one buffer."""
    shapes = [
        f"static const int64_t {kind}_shape_{index}[] = {{{', '.join(_signed(extent) for extent in item.shape)}}};"
        for index, item in enumerate(items)
        if item.shape
    ]
    values = [
        line
        for index, item in enumerate(items)
        if isinstance(item, InputField)
        for line in _render_table("astro_value", f"values_{index}", _render_values(item))
    ]
    fields = (_render_field(f"{kind}_shape_{index}", f"values_{index}", item) for index, item in enumerate(items))
    return [*shapes, *values, *_render_table("astro_field", kind, fields)]


def _render_values(item: InputField) -> list[str]:
    bounds = [below for _, below in item.values]
    return [f"{_unsigned(below)}, {_unsigned(bits)}" for below, bits in zip(bounds, value_bits(item), strict=True)]


def _render_field(shape: str, values: str, item: BufferField) -> str:
    members = [
        f".name = {c_text(item.name)}",
        f".shape = {shape if item.shape else '0'}",
        f".dtype = {_constant('', item.dtype, DTYPES)}",
        f".rank = {len(item.shape)}u",
        f".offset = {_unsigned(item.offset)}",
        f".nbytes = {_unsigned(item.nbytes)}",
    ]
    if isinstance(item, InputField):
        members += [
            f".check_nan = {int(item.check_nan)}u",
            f".check_range = {int(item.check_range)}u",
            f".low = {_signed(item.low)}",
            f".high = {_signed(item.high)}",
            f".draw = {_constant('DRAW_', item.draw, DRAWS)}",
            f".draw_parameter = {_signed(item.draw_parameter)}",
            f".value_count = {len(item.values)}u",
            f".values = {_table(item.values, values)}",
        ]
    if isinstance(item, StateField):
        filled = item.fill is not None
        members += [
            f".initial = {_constant('INITIAL_', 'fill' if filled else 'weights', INITIALS)}",
            f".initial_bits = {_unsigned(fill_bits(item) if filled else 0)}",
            f".initial_offset = {_unsigned(item.weights_offset)}",
        ]
    return ", ".join(members)


def _render_activity(item: Activity) -> str:
    return f"{c_text(item.name)}, {_unsigned(item.size)}, {_unsigned(item.offset)}"


def _render_tick(item: GoldenTick) -> str:
    return f"{_unsigned(item.tick)}, {c_text(item.state)}, {c_text(item.outputs)}"


def _render_table(kind: str, name: str, rows: Iterable[str]) -> list[str]:
    """A constant array; nothing for no rows, because C has no empty arrays."""
    lines = [f"    {{{row}}}," for row in rows]
    return [f"static const {kind} {name}_table[] = {{", *lines, "};"] if lines else []


def _constant(kind: str, name: str, known: Sequence[str]) -> str:
    """The header's name of a dtype, of where an initial value comes from, or of a way to draw inputs."""
    assert name in known, f"astro_abi.h has no {name}"
    return f"ASTRO_{kind}{name.upper()}"


def _table(items: Sequence[object], name: str) -> str:
    return f"{name}_table" if items else "0"


def _unsigned(value: int) -> str:
    return f"{value}u" if value < 2**32 else f"UINT64_C({value})"


def _signed(value: int) -> str:
    # The most negative number has no literal of its own in C.
    return f"(-INT64_C({-value - 1}) - 1)" if value < 0 else f"INT64_C({value})"
