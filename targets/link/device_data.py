"""A GPU's code as source for the linker: the table of its images as C, their bytes as an assembler's file."""

from __future__ import annotations

from collections.abc import Sequence

from astroedge.targets.cuda.device_code import DeviceCode, Image
from astroedge.targets.link.c_text import c_text

# A driver takes a cubin at any such place; PTX is a C string.
_IMAGE_ALIGNMENT = 64


def render_device_code(code: DeviceCode) -> str:
    """The C source that defines `astroedge_device_code` (shim/device_code.h)."""
    rows = [
        f"    {{{image.capability}u, {int(image.kind == 'ptx')}u, {_symbol(index)}}},"
        for index, image in enumerate(code.images)
    ]
    return "\n".join(
        [
            '#include "device_code.h"',
            *(
                f'extern const uint8_t {_symbol(index)}[] __attribute__((visibility("hidden")));'
                for index in range(len(code.images))
            ),
            "static const device_image images[] = {",
            *rows,
            "};",
            "const device_code astroedge_device_code = {",
            f"    .kernel = {c_text(code.kernel)},",
            f"    .block = {code.block}u,",
            f"    .blocks = {code.blocks}u,",
            f"    .image_count = {len(rows)}u,",
            "    .images = images,",
            "};",
            "",
        ]
    )


def render_images(images: Sequence[Image]) -> str:
    """The assembler's source that holds the bytes of the files `image_file` names, a NUL behind each."""
    lines = ['.section .rodata,"a"']
    for index in range(len(images)):
        symbol = _symbol(index)
        lines += [
            f".balign {_IMAGE_ALIGNMENT}",
            f".globl {symbol}",
            f".hidden {symbol}",
            f"{symbol}:",
            f'.incbin "{image_file(index)}"',
            ".byte 0",
        ]
    return "\n".join([*lines, '.section .note.GNU-stack,"",%progbits', ""])


def image_file(index: int) -> str:
    """The name of the file with an image's bytes."""
    return f"image_{index}.bin"


def _symbol(index: int) -> str:
    return f"astroedge_image_{index}"
