"""What PTX says of instructions on integers and bits, written again in Python: a function of bits for every full name.

Operands and results are the unsigned integers that hold their bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

# Operands by type: u, s and b with their size, f32, f64, pred; "lut" is the number that lop3 wants in the text.
Evaluate = Callable[..., int]
INTEGERS = tuple(f"{sign}{bits}" for bits in (16, 32, 64) for sign in "us")
FLOATS = {"f32": np.float32, "f64": np.float64}
NAN = {"f32": 0x7FFFFFFF, "f64": 0xFFF8000000000000, "f16": 0x7FFF}
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
}
_JOIN: dict[str, Callable[[int, int], int]] = {
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
}


@dataclass(frozen=True)
class Form:
    """An instruction: its full name, the type of its result and those of its operands, and what it computes."""

    name: str
    result: str
    operands: tuple[str, ...]
    evaluate: Evaluate


def size(t: str) -> int:
    """Bits of a type."""
    return {"pred": 1, "lut": 8}.get(t) or int(t[1:])


def signed(bits: int, width: int) -> int:
    """The two's complement number that bits stand for."""
    return bits - (1 << width) if bits >> width - 1 else bits


def number(bits: int, t: str) -> int:
    """The integer that bits are as a type."""
    return signed(bits, size(t)) if t[0] == "s" else bits


def real(bits: int, t: str) -> float:
    """The floating-point number that bits are, as NumPy's scalar of the type."""
    return np.array(bits, f"u{size(t) // 8}").view(FLOATS[t])[()]


def bits_of(value: float, t: str) -> int:
    """The bits of a floating-point number as a GPU gives them."""
    if np.isnan(value):
        return NAN[t]
    return int(np.array(value, FLOATS[t]).view(f"u{size(t) // 8}"))


def integer_forms() -> Iterator[Form]:
    """All of them, and comparisons of every type."""
    yield from _arithmetic()
    yield from _bits()
    yield from _comparisons()


def form(name: str, result: str, operands: str, evaluate: Evaluate) -> Form:
    """`evaluate` gets integers as numbers of their type and may give any, which is cut to the result's size."""
    types = tuple(operands.split())

    def on_bits(*given: int) -> int:
        values = [number(v, t) if t[0] in "us" else v for v, t in zip(given, types, strict=True)]
        return int(evaluate(*values)) % (1 << size(result))

    return Form(name, result, types, on_bits)


def _divide(a: int, b: int) -> int:
    return -1 if b == 0 else abs(a) // abs(b) * (-1 if (a < 0) != (b < 0) else 1)


def clamp(value: int, t: str) -> int:
    """The nearest number that a type holds."""
    low, high = (-(1 << size(t) - 1), (1 << size(t) - 1) - 1) if t[0] == "s" else (0, (1 << size(t)) - 1)
    return min(max(value, low), high)


def _arithmetic() -> Iterator[Form]:
    for t in INTEGERS:
        two, three, n = f"{t} {t}", f"{t} {t} {t}", size(t)
        yield form(f"add.{t}", t, two, lambda a, b: a + b)
        yield form(f"sub.{t}", t, two, lambda a, b: a - b)
        yield form(f"mul.lo.{t}", t, two, lambda a, b: a * b)
        yield form(f"mul.hi.{t}", t, two, lambda a, b, n=n: a * b >> n)
        yield form(f"mad.lo.{t}", t, three, lambda a, b, c: a * b + c)
        yield form(f"mad.hi.{t}", t, three, lambda a, b, c, n=n: (a * b >> n) + c)
        yield form(f"min.{t}", t, two, min)
        yield form(f"max.{t}", t, two, max)
        yield form(f"div.{t}", t, two, _divide)
        yield form(f"rem.{t}", t, two, lambda a, b: a if b == 0 else a - b * _divide(a, b))
        if n < 64:
            wide = f"{t[0]}{2 * n}"
            yield form(f"mul.wide.{t}", wide, two, lambda a, b: a * b)
            yield form(f"mad.wide.{t}", wide, f"{t} {t} {wide}", lambda a, b, c: a * b + c)
        if t[0] == "s":
            yield form(f"neg.{t}", t, t, lambda a: -a)
            yield form(f"abs.{t}", t, t, abs)
    for t in ("u32", "s32"):
        yield form(f"sad.{t}", "u32", f"{t} {t} u32", lambda a, b, c: c + abs(a - b))
        for other in ("u32", "s32"):
            yield form(f"dp4a.{t}.{other}", "u32", "b32 b32 u32", lambda a, b, c, t=t, o=other: c + _dot(a, b, t, o))
    yield form("add.sat.s32", "s32", "s32 s32", lambda a, b: clamp(a + b, "s32"))
    yield form("sub.sat.s32", "s32", "s32 s32", lambda a, b: clamp(a - b, "s32"))


def _dot(a: int, b: int, t: str, other: str) -> int:
    bytes_of = lambda x, t: [number(x >> 8 * i & 255, f"{t[0]}8") for i in range(4)]  # noqa: E731
    return sum(x * y for x, y in zip(bytes_of(a, t), bytes_of(b, other), strict=True))


def _bits() -> Iterator[Form]:
    for t in ("pred", "b16", "b32", "b64"):
        for name, join in _JOIN.items():
            yield form(f"{name}.{t}", t, f"{t} {t}", join)
        yield form(f"not.{t}", t, t, lambda a: ~a)
    for n in (16, 32, 64):
        t = f"b{n}"
        yield form(f"cnot.{t}", t, t, lambda a: a == 0)
        yield form(f"shl.{t}", t, f"{t} u32", lambda a, by: a << min(by, 64))
        for kind in (t, f"u{n}", f"s{n}"):
            yield form(f"shr.{kind}", kind, f"{kind} u32", lambda a, by: a >> min(by, 64))
    for n in (32, 64):
        t = f"b{n}"
        yield form(f"popc.{t}", "u32", t, int.bit_count)
        yield form(f"clz.{t}", "u32", t, lambda a, n=n: n - a.bit_length())
        yield form(f"brev.{t}", t, t, lambda a, n=n: int(f"{a:0{n}b}"[::-1], 2))
        yield form(
            f"bfi.{t}", t, f"{t} {t} u32 u32", lambda a, b, at, count, n=n: _insert(a, b, at & 255, count & 255, n)
        )
        for kind in (f"u{n}", f"s{n}"):
            yield form(f"bfe.{kind}", kind, f"{kind} u32 u32", lambda a, at, count, k=kind: _extract(a, at, count, k))
            place = lambda a: (a if a >= 0 else ~a).bit_length() - 1  # noqa: E731
            yield form(f"bfind.{kind}", "u32", kind, place)
            yield form(f"bfind.shiftamt.{kind}", "u32", kind, lambda a, n=n, p=place: n - 1 - p(a) if p(a) >= 0 else -1)
    yield form("prmt.b32", "b32", "b32 b32 b32", _permute)
    yield form("lop3.b32", "b32", "b32 b32 b32 lut", _table)
    for side in "lr":
        for mode in ("wrap", "clamp"):
            yield form(
                f"shf.{side}.{mode}.b32", "b32", "b32 b32 u32", lambda a, b, by, s=side, m=mode: _funnel(a, b, by, s, m)
            )


def _insert(a: int, b: int, at: int, count: int, n: int) -> int:
    for i in range(count):
        if at + i < n and i < n:
            b = b & ~(1 << at + i) | (a >> i & 1) << at + i
    return b


def _extract(a: int, at: int, count: int, t: str) -> int:
    """The pseudo-code of PTX: bits of the operand, then its sign bit."""
    n, at, count = size(t), at & 255, count & 255
    a %= 1 << n
    sign = 0 if t[0] == "u" or count == 0 else a >> min(at + count - 1, n - 1) & 1
    return sum((a >> at + i & 1 if i < count and at + i < n else sign) << i for i in range(n))


def _permute(a: int, b: int, select: int) -> int:
    result = 0
    for i in range(4):
        choice = select >> 4 * i & 15
        byte = (b << 32 | a) >> 8 * (choice & 7) & 255
        result |= (255 * (byte >> 7) if choice & 8 else byte) << 8 * i
    return result


LUT = 0x6A  # a table in which no operand can be swapped for another


def _table(a: int, b: int, c: int, lut: int) -> int:
    return sum((lut >> ((a >> i & 1) * 4 + (b >> i & 1) * 2 + (c >> i & 1)) & 1) << i for i in range(32))


def _funnel(a: int, b: int, by: int, side: str, mode: str) -> int:
    by = by & 31 if mode == "wrap" else min(by, 32)
    both = b << 32 | a
    return both >> 32 - by if side == "l" else both >> by


def _comparisons() -> Iterator[Form]:
    for t in (*INTEGERS, "b16", "b32", "b64", "f32", "f64"):
        for name, test in _comparisons_of(t).items():
            yield form(f"setp.{name}.{t}", "pred", f"{t} {t}", test)
            for logic, join in _JOIN.items():
                yield form(
                    f"setp.{name}.{logic}.{t}",
                    "pred",
                    f"{t} {t} pred",
                    lambda a, b, p, f=test, j=join: j(int(f(a, b)), p),
                )
            for result in ("u32", "s32"):
                yield form(f"set.{name}.{result}.{t}", result, f"{t} {t}", lambda a, b, f=test: -int(f(a, b)))
        own = f"b{size(t)}"
        yield form(f"selp.{t}", own, f"{own} {own} pred", lambda a, b, p: a if p else b)
        yield form(f"slct.{t}.s32", own, f"{own} {own} s32", lambda a, b, c: a if c >= 0 else b)
        yield form(f"slct.{t}.f32", own, f"{own} {own} f32", lambda a, b, c: a if real(c, "f32") >= 0 else b)


def _comparisons_of(t: str) -> dict[str, Callable[[int, int], bool]]:
    if t[0] != "f":
        names = {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"} if t[0] == "u" else {}
        own = {name: test for name, test in _COMPARE.items() if t[0] != "b" or name in ("eq", "ne")}
        return own | {name: _COMPARE[like] for name, like in names.items()}

    def ordered(a: int, b: int) -> bool:
        return not (np.isnan(real(a, t)) or np.isnan(real(b, t)))

    result: dict[str, Callable[[int, int], bool]] = {"num": ordered, "nan": lambda a, b: not ordered(a, b)}
    for name, test in _COMPARE.items():
        result[name] = lambda a, b, f=test: ordered(a, b) and bool(f(real(a, t), real(b, t)))
        result[f"{name}u"] = lambda a, b, f=test: not ordered(a, b) or bool(f(real(a, t), real(b, t)))
    return result
