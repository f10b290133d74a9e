"""The table of docs/targets.md: every shipped target with what its code is made for.

    python -m astroedge.targets.boards.target_page

prints it.
"""

from __future__ import annotations

import sys

from astroedge.targets.boards.board_file import Target, shipped_boards

HEAD = "| target | what it is | processor | features of the code | L1, L2, L3 | memory |\n|---|---|---|---|---|---|\n"


def table() -> str:
    """The table, a row for each target in alphabetical order."""
    return HEAD + "".join(_row(board) for board in shipped_boards().values())


def _row(board: Target) -> str:
    caches = ", ".join(_size(size) for size in (board.l1_bytes, board.l2_bytes, board.l3_bytes))
    computes = f"{board.cpu} ({', '.join(board.gpu)})" if board.gpu else board.cpu
    features = ", ".join(board.features)
    return (
        f"| `{board.name}` | {board.description} | {board.arch}, {computes} | {features} | {caches} | "
        f"{_size(board.memory_bytes)} |\n"
    )


def _size(size: int) -> str:
    """A number of bytes in the largest unit that divides it, – for 0."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} B" if size else "–"


if __name__ == "__main__":
    sys.stdout.write(table())
