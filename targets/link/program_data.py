"""What a program says of its step and `astro_info` does not, as C source (runtimes/c/executable/program.h)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from astroedge.bundle.manifest import Manifest
from astroedge.step_profile import MatrixOperations
from astroedge.targets.link.c_text import c_text


@dataclass(frozen=True)
class CountedMatrix:
    """A matrix whose synaptic operations in a tick are those of `silent`, and `each` more for every active element.

    The elements are those of the activity number `counter`.
    """

    silent: MatrixOperations
    each: float
    counter: int


def render_program_data(manifest: Manifest, matrices: Sequence[CountedMatrix]) -> str:
    """The C source that defines `astroedge_program_data`.

    Raises LinkError for a text that C cannot hold.
    """
    rates = ", ".join(item.firing_rate.hex() for item in manifest.activity)
    rows = [f"    {{{_row(item)}}}," for item in matrices]
    return "\n".join(
        [
            '#include "program.h"',
            *([f"static const double rates[] = {{{rates}}};"] if rates else []),
            *(["static const program_matrix matrices[] = {", *rows, "};"] if rows else []),
            "const program_data astroedge_program_data = {",
            f"    .precision = {c_text(manifest.precision)},",
            f"    .library_sha256 = {c_text(manifest.library.sha256)},",
            f"    .threads = {manifest.threads}u,",
            f"    .default_threads = {manifest.default_threads}u,",
            f"    .export_rates = {'rates' if rates else '0'},",
            f"    .matrix_count = {len(rows)}u,",
            f"    .matrices = {'matrices' if rows else '0'},",
            "};",
            "",
        ]
    )


def _row(item: CountedMatrix) -> str:
    silent = item.silent
    texts = ", ".join(c_text(text) for text in (silent.name, silent.kind, silent.label, silent.note))
    return f"{texts}, UINT64_C({silent.dense}), {item.counter}u, {silent.effective.hex()}, {item.each.hex()}"
