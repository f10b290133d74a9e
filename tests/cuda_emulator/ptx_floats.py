"""PTX instructions on floating-point numbers, by their full names, and the C that does the same.

Allowed is what IEEE 754 says to the bit and what rounds once, to the nearest. Not here, and so refused: `fma` (but on
demand), the arithmetic without a rounding in its name (ptxas may join it into fma), `.approx`, `.ftz`, other roundings.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.cuda_emulator.ptx_integers import COMPARISONS, INTEGERS, Emit, calls, comparison
from tests.cuda_emulator.ptx_operands import Operands

_FLOATS = ("f32", "f64")
_ROUND = ("rni", "rzi", "rmi", "rpi")
_INTEGERS_OF_8 = ("u8", "s8", *INTEGERS)


def float_instructions() -> Iterator[tuple[str, Emit]]:
    """All but the fused ones."""
    for t in _FLOATS:
        yield from _arithmetic(t)
        yield from _comparisons(t)
    yield from _conversions()


def fused_instructions() -> Iterator[tuple[str, Emit]]:
    """`fma`, and sums and products that ptxas may fuse: for tests that show what they do."""
    for t in _FLOATS:
        yield f"fma.rn.{t}", calls(f"ptx_fma_{t}", t, t, t, t)
        for name in ("add", "sub", "mul"):
            yield f"{name}.{t}", calls(f"ptx_{name}_{t}", t, t, t)


def _arithmetic(t: str) -> Iterator[tuple[str, Emit]]:
    for name in ("add", "sub", "mul", "div"):
        yield f"{name}.rn.{t}", calls(f"ptx_{name}_{t}", t, t, t)
    yield f"sqrt.rn.{t}", calls(f"ptx_sqrt_{t}", t, t)
    yield f"rcp.rn.{t}", lambda o: o.put(f"ptx_div_{t}(1, {o.value(1, t)})", t)
    for name in ("min", "max"):
        yield f"{name}.{t}", calls(f"ptx_{name}_{t}", t, t, t)
    yield "min.NaN.f32", calls("ptx_min_nan", "f32", "f32", "f32")
    yield "max.NaN.f32", calls("ptx_max_nan", "f32", "f32", "f32")
    bits, sign = f"b{t[1:]}", 1 << int(t[1:]) - 1
    yield f"neg.{t}", lambda o: o.put(f"{o.value(1, bits)} ^ {sign}u", bits)
    yield f"abs.{t}", lambda o: o.put(f"{o.value(1, bits)} & ~(uint64_t){sign}u", bits)
    yield f"copysign.{t}", lambda o: o.put(f"({o.value(1, bits)} & {sign}u) | ({o.value(2, bits)} & {sign - 1}u)", bits)
    for kind in ("finite", "infinite", "number", "notanumber", "normal", "subnormal"):
        yield f"testp.{kind}.{t}", calls(f"ptx_is_{kind}", "pred", t)


def _comparisons(t: str) -> Iterator[tuple[str, Emit]]:
    for name, sign in COMPARISONS.items():
        # An ordered comparison is false with a NaN, the one whose name ends with u is true.
        ordered = "{0} < {1} || {0} > {1}" if name == "ne" else f"{{0}} {sign} {{1}}"
        yield from comparison(name, t, _test(f"({ordered})", t))
        yield from comparison(f"{name}u", t, _test(f"({ordered}) || ptx_nan({{0}}) || ptx_nan({{1}})", t))
    yield from comparison("num", t, _test("!ptx_nan({0}) && !ptx_nan({1})", t))
    yield from comparison("nan", t, _test("ptx_nan({0}) || ptx_nan({1})", t))


def _test(pattern: str, t: str) -> Emit:
    return lambda o: f"({pattern.format(o.value(1, t), o.value(2, t))})"


def _conversions() -> Iterator[tuple[str, Emit]]:
    for d in _INTEGERS_OF_8:
        for s in _INTEGERS_OF_8:
            yield f"cvt.{d}.{s}", lambda o, d=d, s=s: o.put(o.value(1, s), d)
            if not _holds(d, s):  # else there is nothing to clamp, and no such instruction
                yield f"cvt.sat.{d}.{s}", lambda o, d=d, s=s: o.put(f"ptx_clamp_{s[0]}_{d}({o.value(1, s)})", d)
        for f in _FLOATS:
            yield f"cvt.rn.{f}.{d}", calls(f"({'float' if f == 'f32' else 'double'})", f, d)
            for rounding in _ROUND:
                yield f"cvt.{rounding}.{d}.{f}", _to_integer(rounding, d, f)
                yield f"cvt.{rounding}.sat.{d}.{f}", _to_integer(rounding, d, f)  # it is clamped anyway
    for f in _FLOATS:
        for rounding in _ROUND:
            yield f"cvt.{rounding}.{f}.{f}", calls(f"ptx_{rounding}_{f}", f, f)
        yield f"cvt.{f}.{f}", calls("", f, f)
    yield "cvt.f64.f32", calls("ptx_widen", "f64", "f32")
    yield "cvt.rn.f32.f64", calls("ptx_narrow", "f32", "f64")
    yield "cvt.f32.f16", lambda o: o.put(f"ptx_from_half({o.value(1, 'b16')})", "f32")
    yield "cvt.f64.f16", lambda o: o.put(f"ptx_widen(ptx_from_half({o.value(1, 'b16')}))", "f64")
    yield "cvt.rn.f16.f32", lambda o: o.put(f"ptx_to_half({o.value(1, 'f32')})", "b16")
    yield "cvt.rn.f16.f64", lambda o: o.put(f"ptx_to_half({o.value(1, 'f64')})", "b16")


def _holds(d: str, s: str) -> bool:
    """Whether every number of the integer type `s` is one of `d`."""
    narrower = int(s[1:]) < int(d[1:])
    return d == s or (narrower and (d[0] == s[0] or d[0] == "s"))


def _to_integer(rounding: str, d: str, f: str) -> Emit:
    """Rounded, then clamped to what the integer holds. NaN is 0 between 32 bits and fewer, else the highest bit."""
    bits = int(d[1:])
    nan = 1 << bits - 1 if f == "f64" or bits == 64 else 0

    def emit(o: Operands) -> str:
        value = f"ptx_{rounding}_{f}({o.value(1, f)})"
        return o.put(f"ptx_{d[0]}_of({value}, {bits}, {nan}u)", d)

    return emit
