"""A module that stands for a file of another framework."""

from __future__ import annotations

from typing import ClassVar

from torch import nn


class FileModule(nn.Module):
    """One tick of what a file holds, and what a step graph made of it says of its source.

    `version` is that of the package that wrote the file, `notes` what to know about the file.
    """

    framework: ClassVar[str]
    """The package that writes such files."""

    def __init__(self, version: str) -> None:
        """Start without notes."""
        super().__init__()
        self.version, self.notes = version, list[str]()
