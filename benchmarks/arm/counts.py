"""What `count_blocks.c` wrote, and the counts of a tick that follow from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

DIGITS = 8  # hexadecimal ones of an instruction
Key = TypeVar("Key")


@dataclass
class Counts:
    """Instructions executed: by file, and how often each block of the code that is looked at, by its instructions.

    The instructions of a block are a tuple of hexadecimal words, as numbers are written.
    """

    files: Counter[str] = field(default_factory=Counter)
    blocks: Counter[tuple[str, ...]] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """Instructions of all files."""
        return sum(self.files.values())


@dataclass(frozen=True)
class TickCounts:
    """The same of one tick, in the mean."""

    files: dict[str, float]
    blocks: dict[tuple[str, ...], float]

    @property
    def total(self) -> float:
        """Instructions of all files."""
        return sum(self.files.values())


def read_sections(text: str) -> list[Counts]:
    """What was executed before each mark, since the one before it.

    Raises ValueError for a line that the plugin does not write.
    """
    sections, counts = [], Counts()
    for line in text.splitlines():
        match line.split():
            case ["file", name, count]:
                counts.files[name] += int(count)
            case ["block", _, times, code]:
                words = tuple(code[start : start + DIGITS] for start in range(0, len(code), DIGITS))
                counts.blocks[words] += int(times)
            case ["mark"]:
                sections.append(counts)
                counts = Counts()
            case _:
                raise ValueError(f"not a line of count_blocks.c: {line!r}")
    return sections


def cases_of(sections: list[Counts], ticks: int) -> Iterator[TickCounts]:
    """The counts of a tick in each case of `guest.py`, which makes three marks and runs `ticks` and twice `ticks`.

    Raises ValueError where marks are missing, because a case failed.
    """
    if len(sections) % 3:
        raise ValueError(f"{len(sections)} marks where every case makes three: a case failed")
    for once, twice in zip(sections[1::3], sections[2::3], strict=True):
        yield tick_counts(once, twice, ticks)


def tick_counts(once: Counts, twice: Counts, ticks: int) -> TickCounts:
    """Of a tick: those of the second half of `twice` as many ticks, so that what is done once a call cancels."""
    return TickCounts(_half(once.files, twice.files, ticks), _half(once.blocks, twice.blocks, ticks))


def _half(once: Counter[Key], twice: Counter[Key], ticks: int) -> dict[Key, float]:
    found = {key: (twice[key] - once[key]) / ticks for key in sorted({*once, *twice}, key=str)}
    return {key: count for key, count in found.items() if count}
