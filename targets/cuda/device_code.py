"""What a GPU runs of a step: one kernel, built for the chips that were asked for."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from astroedge.bundle.manifest import Device, DeviceImage

SHIM_SOURCES = ("cuda.c", "cuda_driver.c", "cuda_gpu.c", "cuda_stream.c")
"""What launches it, among the files of `targets/link/shim`."""


@dataclass(frozen=True)
class Image:
    """The kernel for one chip.

    `capability` is the chip's compute capability times ten, 87 for 8.7. A "cubin" runs on that chip and, unless one of
    them is a Jetson's, on those of the same major number and a higher minor one; a "ptx" is text, which the driver of
    that or any later chip compiles.
    """

    capability: int
    kind: str
    data: bytes


@dataclass(frozen=True)
class DeviceCode:
    """The kernel `kernel` of a step, in all its images.

    It is launched in blocks of `block` threads, all of which run at once; more than `blocks` blocks gain nothing.
    `barriers` is how often they wait for each other in a tick, `reason` what was weighed against that. `nvrtc` is the
    release of NVRTC that built it.
    """

    kernel: str
    block: int
    blocks: int
    barriers: int
    images: tuple[Image, ...]
    reason: str = ""
    nvrtc: str = ""

    @property
    def record(self) -> Device:
        """What a bundle's manifest keeps of it."""
        images = (
            DeviceImage(item.capability, item.kind, len(item.data), sha256(item.data).hexdigest())
            for item in self.images
        )
        return Device("cuda", self.kernel, self.block, self.blocks, self.barriers, self.reason, tuple(images))
