"""Bytes changed at random, as damage and an attacker change them: bits, bytes, pieces lost, doubled and inserted."""

from __future__ import annotations

import random

TELLING = (0, 1, 0x0A, 0x12, 0x2A, 0x7F, 0x80, 0xFF)
ENDS = 3000  # what describes the content stands at the ends of a file


def mutate(content: bytes, random_: random.Random) -> bytes:
    """Another content: one kind of change at one to 16 places, most of them near the ends."""
    changed = bytearray(content)
    kind = random_.randrange(7)
    for _ in range(random_.choice((1, 1, 1, 2, 4, 16))):
        if not changed:
            break
        place = _place(len(changed), random_)
        if kind == 0:
            changed[place] ^= 1 << random_.randrange(8)
        elif kind == 1:
            changed[place] = random_.randrange(256)
        elif kind == 2:
            del changed[place : place + random_.choice((1, 2, 8, 100))]
        elif kind == 3:
            changed[place:place] = random_.randbytes(random_.choice((1, 2, 8)))
        elif kind == 4:
            changed[place:place] = changed[place : place + random_.choice((4, 40, 400))]
        elif kind == 5:
            del changed[place:]
        else:
            changed[place] = random_.choice(TELLING)
    return bytes(changed)


def _place(size: int, random_: random.Random) -> int:
    part = random_.random()
    near = random_.randrange(min(ENDS, size))
    return random_.randrange(size) if part < 0.3 else near if part < 0.65 else size - 1 - near
