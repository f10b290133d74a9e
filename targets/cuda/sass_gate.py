"""The gate that the machine code of every build passes: contraction allowed or not, the code is the same.

So nothing in the text is left for the compiler to contract. That no fused instruction occurs would be the wrong test:
IEEE division and square root use them inside.
"""

from __future__ import annotations

import struct

from astroedge.errors import CompileError
from astroedge.targets.pass_list import UnknownForm


def code_sections(cubin: bytes) -> dict[str, bytes]:
    """The sections with machine code of a cubin (a 64-bit ELF file), by name.

    Raises CompileError for what is no such file.
    """
    try:
        if cubin[:5] != b"\x7fELF\x02":
            raise ValueError("not a 64-bit ELF file")
        (table,) = struct.unpack_from("<Q", cubin, 40)
        entry, count, names = struct.unpack_from("<HHH", cubin, 58)
        sections = [struct.unpack_from("<IIQQQQ", cubin, table + index * entry) for index in range(count)]
        start = sections[names][4]
        found = {}
        for name_at, _, _, _, offset, size in sections:
            name = cubin[start + name_at : cubin.index(b"\0", start + name_at)].decode("ascii")
            if name.startswith(".text."):
                found[name] = cubin[offset : offset + size]
    except (struct.error, ValueError, IndexError) as error:
        raise CompileError(f"NVRTC's machine code cannot be read ({error}); reinstall NVRTC.") from error
    return found


def check_sass(strict: bytes, free: bytes, architecture: str) -> None:
    """Let pass only code that is the same built with contraction forbidden (`strict`) and allowed (`free`).

    Raises UnknownForm naming the function that differs, CompileError for what is no such code.
    """
    expected, found = code_sections(strict), code_sections(free)
    if not expected:
        raise CompileError(f"NVRTC's machine code for {architecture} holds no function; reinstall NVRTC.")
    for name, code in expected.items():
        if found.get(name) != code:
            raise UnknownForm(
                f"The GPU's code {name} for {architecture} depends on whether products and sums may be contracted, so "
                "its bits may differ from a CPU's; this is a defect of the compiler: report it with the graph, and use "
                "the board's CPU target meanwhile."
            )
