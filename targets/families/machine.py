"""What the Linux kernel says about a machine: the flags, names and caches by which its processor is recognised.

Sources: /proc/device-tree/model (a board's own name), /proc/cpuinfo (flags; on ARM also implementer and part) and
/sys/devices/system/cpu/cpu0/cache.
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from astroedge.errors import TargetError


@dataclass(frozen=True)
class Machine:
    """What the kernel says about a machine, as text; `root` stands for /, so another machine's files can be read.

    A machine that is far away has `texts` instead, what its files hold by their paths; `root` is not read then.
    """

    arch: str
    bits: int
    root: Path = Path("/")
    texts: Mapping[str, str] | None = None

    def read(self, path: str) -> str:
        """The text of a file below the root, without NUL and white space around it; "" where there is none."""
        if self.texts is not None:
            return self.texts.get(path, "").strip("\0 \n\t")
        try:
            return (self.root / path).read_bytes().decode("utf-8", "replace").strip("\0 \n\t")
        except OSError:
            return ""

    @property
    def model(self) -> str:
        """The board's own name, "" where there is no device tree."""
        return self.read("proc/device-tree/model")

    def cpuinfo(self, key: str) -> list[str]:
        """The values of a key in /proc/cpuinfo, one a processor."""
        pairs = [line.partition(":") for line in self.read("proc/cpuinfo").splitlines()]
        return [value.strip() for name, _, value in pairs if name.strip() == key]

    @property
    def flags(self) -> frozenset[str]:
        """The CPU flags that every processor has."""
        each = [frozenset(value.split()) for key in ("flags", "Features") for value in self.cpuinfo(key)]
        return frozenset.intersection(*each) if each else frozenset()

    def cache_bytes(self, level: int) -> int:
        """Size of the data or unified cache of a level that the first processor uses, 0 where the kernel shows none."""
        if self.texts is not None:
            return 0
        folder = self.root / "sys/devices/system/cpu/cpu0/cache"
        for index in sorted(folder.glob("index*")):
            text = {name: self.read(f"{index.relative_to(self.root)}/{name}") for name in ("level", "type", "size")}
            if text["level"] == str(level) and text["type"] != "Instruction" and text["size"].endswith("K"):
                return int(text["size"][:-1]) * 1024
        return 0


def this_machine() -> Machine:
    """The machine this process runs on.

    Raises TargetError where compiled bundles cannot run at all, because the system is not Linux.
    """
    if platform.system() != "Linux":
        raise TargetError(
            f"Compiled bundles run on Linux and this is {platform.system()}; compile for a board by its name instead."
        )
    return Machine(arch=platform.machine(), bits=struct.calcsize("P") * 8)
