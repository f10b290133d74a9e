"""Shipped targets whose code can differ: many boards have the same processor."""

from __future__ import annotations

from astroedge.targets.boards.target import Target, list_targets


def distinct_codes() -> list[Target]:
    """The first target of each instruction set, GPUs' apart, in alphabetical order."""
    found = {
        (target.arch, target.cpu, target.attributes, target.features, target.gpu): target
        for target in reversed(list_targets())
    }
    return sorted(found.values(), key=lambda target: target.name)
