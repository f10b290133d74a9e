"""CUDA C → the images of a bundle: machine code for each chip, PTX for newer ones, each through the gates."""

from __future__ import annotations

import re
from collections.abc import Sequence

from astroedge.errors import CompileError
from astroedge.targets.cuda.device_code import Image
from astroedge.targets.cuda.nvrtc import Nvrtc
from astroedge.targets.cuda.ptx_gate import check_ptx
from astroedge.targets.cuda.sass_gate import check_sass

EXACT = ("--prec-div=true", "--prec-sqrt=true", "--ftz=false", "--std=c++17", "--device-as-default-execution-space")
STRICT = ("--fmad=false", *EXACT)
FREE = ("--fmad=true", *EXACT)

# What the drivers of JetPack 5 take (CUDA 11.4). Nothing newer is used: the gate knows every instruction.
PTX_VERSION = "7.4"
_VERSION = re.compile(r"^\.version [0-9.]+$", re.MULTILINE)


def build_images(text: str, architectures: Sequence[str], nvrtc: Nvrtc) -> tuple[Image, ...]:
    """Machine code of `text` for each of `architectures` ("sm_87"), and PTX of the oldest, which newer chips compile.

    Raises CompileError for an architecture that NVRTC does not know, for a text that it refuses, and for code that does
    not pass a gate.
    """
    capabilities = sorted({int(architecture.removeprefix("sm_")) for architecture in architectures})
    for capability in capabilities:
        if capability not in nvrtc.capabilities:
            known = ", ".join(f"sm_{item}" for item in nvrtc.capabilities)
            raise CompileError(
                f"NVRTC {nvrtc.version[0]}.{nvrtc.version[1]} builds nothing for sm_{capability}: {known}."
            )
    images = [_machine_code(text, capability, nvrtc) for capability in capabilities]
    ptx = nvrtc.compile(text, f"compute_{capabilities[0]}", STRICT).ptx
    check_ptx(ptx)
    return (*images, Image(capabilities[0], "ptx", _plain(ptx).encode("ascii") + b"\0"))


def _plain(ptx: str) -> str:
    """PTX for older drivers, without comments: NVRTC numbers the calls of all texts of a process in them."""
    lines = [line.partition("//")[0].rstrip() for line in ptx.splitlines()]
    return _VERSION.sub(f".version {PTX_VERSION}", "\n".join(line for line in lines if line), count=1) + "\n"


def _machine_code(text: str, capability: int, nvrtc: Nvrtc) -> Image:
    """The code for one chip, built twice: what the gates look at is what is shipped."""
    architecture = f"sm_{capability}"
    strict = nvrtc.compile(text, architecture, STRICT)
    check_ptx(strict.ptx)
    check_sass(strict.cubin, nvrtc.compile(text, architecture, FREE).cubin, architecture)
    return Image(capability, "cubin", strict.cubin)
