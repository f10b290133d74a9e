"""PTX → a library of emulated kernels: what the fake driver runs.

`python -m tests.cuda_emulator.jit PTX LIBRARY [MODE]`: MODE is any of -races (the kernels tell of their accesses, and a
race ends them) and -fused (fused arithmetic is let pass).
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.cuda_emulator.compile_c import RUNTIME, THREADS, CompilerError, compile_library
from tests.cuda_emulator.ptx_text import PtxRefusedError
from tests.cuda_emulator.ptx_to_c import translate


def compile_ptx(text: str, result: Path, races: bool = False, fused: bool = False) -> None:
    """Translate and compile a PTX text; the C is left beside the result, and zig's cache.

    Raises PtxRefusedError for what the emulator does not know, CompilerError where the C is not valid.
    """
    source = result.with_suffix(".c")
    source.write_text(translate(text, fused), encoding="ascii")
    runtime = [*THREADS, *([RUNTIME / "races.c"] if races else [])]
    cache = result.parent / "zig"
    cache.mkdir(exist_ok=True)
    options = ["-std=gnu11", "-O1", *(["-DEMULATED_RACES"] if races else [])]
    compile_library([source, *runtime], result, cache, options)


def main(ptx: str, library: str, mode: str = "") -> int:
    """The command; what is wrong is told in a line, as a driver's log has it."""
    try:
        compile_ptx(Path(ptx).read_text(encoding="ascii"), Path(library), "-races" in mode, "-fused" in mode)
    except (PtxRefusedError, CompilerError) as error:
        sys.stderr.write(f"fake libcuda: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
