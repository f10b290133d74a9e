"""CUDA C → the images of a bundle: machine code for each chip, PTX for newer ones, each through the gates."""

from __future__ import annotations

import re
from collections.abc import Sequence

from astroedge.errors import CompileError
from astroedge.targets.boards.board_file import LEAST_GPU
from astroedge.targets.cuda.device_code import Image
from astroedge.targets.cuda.nvrtc import Nvrtc
from astroedge.targets.cuda.ptx_gate import check_ptx
from astroedge.targets.cuda.sass_gate import check_sass

EXACT = ("--prec-div=true", "--prec-sqrt=true", "--ftz=false", "--std=c++17", "--device-as-default-execution-space")
STRICT = ("--fmad=false", *EXACT)
FREE = ("--fmad=true", *EXACT)

# What the drivers of JetPack 5 take (CUDA 11.4), and the least that knows a later chip. Nothing newer is used: the gate
# knows every instruction.
_OLDEST_PTX, _LATER_CHIPS = "7.4", {89: "7.8", 90: "7.8", 100: "8.6", 120: "8.7"}
_VERSION = re.compile(r"^\.version [0-9.]+$", re.MULTILINE)


def build_images(text: str, architectures: Sequence[str], nvrtc: Nvrtc) -> tuple[Image, ...]:
    """Machine code of `text` for each of `architectures` ("sm_87"), and PTX of the oldest, which newer chips compile.

    Where all chips are newer than those that NVRTC knows there is only the PTX, of the newest that it knows.

    Raises CompileError for any other chip that it does not know, for a text that it refuses, and for code that does not
    pass a gate.
    """
    newest = max(nvrtc.capabilities)
    asked = {int(architecture.removeprefix("sm_")) for architecture in architectures}
    known = sorted(capability for capability in asked if capability <= newest) or [newest]
    for capability in known:
        if capability not in nvrtc.capabilities:
            chips = ", ".join(f"sm_{item}" for item in nvrtc.capabilities if item >= LEAST_GPU)
            version = ".".join(map(str, nvrtc.version))
            raise CompileError(f"NVRTC {version} builds nothing for sm_{capability}; it knows {chips}.")
    images = [_machine_code(text, capability, nvrtc) for capability in known]
    ptx = nvrtc.compile(text, f"compute_{known[0]}", STRICT).ptx
    check_ptx(ptx)
    shipped = [image for image in images if image.capability in asked]
    return (*shipped, Image(known[0], "ptx", _plain(ptx, known[0]).encode("ascii") + b"\0"))


def _plain(ptx: str, capability: int) -> str:
    """PTX for older drivers, without comments: NVRTC numbers the calls of all texts of a process in them."""
    version = _LATER_CHIPS.get(capability, _OLDEST_PTX)
    lines = [line.partition("//")[0].rstrip() for line in ptx.splitlines()]
    return _VERSION.sub(f".version {version}", "\n".join(line for line in lines if line), count=1) + "\n"


def _machine_code(text: str, capability: int, nvrtc: Nvrtc) -> Image:
    """The code for one chip, built twice: what the gates look at is what is shipped."""
    architecture = f"sm_{capability}"
    strict = nvrtc.compile(text, architecture, STRICT)
    check_ptx(strict.ptx)
    check_sass(strict.cubin, nvrtc.compile(text, architecture, FREE).cubin, architecture)
    return Image(capability, "cubin", strict.cubin)
