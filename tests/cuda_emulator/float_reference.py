"""What PTX says of floating-point instructions and of conversions, as `instruction_reference` has the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from tests.cuda_emulator.instruction_reference import FLOATS, INTEGERS, NAN, Form, bits_of, clamp, form, real, size


def float_forms() -> Iterator[Form]:
    """All of them."""
    yield from _floats()
    yield from _conversions()


def _floats() -> Iterator[Form]:
    for t in ("f32", "f64"):
        one, sign = FLOATS[t](1), 1 << size(t) - 1
        operations: dict[str, Callable[..., float]] = {
            "add.rn": lambda a, b: a + b,
            "sub.rn": lambda a, b: a - b,
            "mul.rn": lambda a, b: a * b,
            "div.rn": lambda a, b: a / b,
        }
        for name, compute in operations.items():
            yield Form(f"{name}.{t}", t, (t, t), lambda a, b, f=compute, t=t: bits_of(f(real(a, t), real(b, t)), t))
        yield Form(f"sqrt.rn.{t}", t, (t,), lambda a, t=t: bits_of(np.sqrt(real(a, t)), t))
        yield Form(f"rcp.rn.{t}", t, (t,), lambda a, t=t, one=one: bits_of(one / real(a, t), t))
        for name in ("min", "max"):
            yield Form(f"{name}.{t}", t, (t, t), lambda a, b, n=name, t=t: _extreme(a, b, n, t))
        yield Form(f"neg.{t}", t, (t,), lambda a, s=sign: a ^ s)
        yield Form(f"abs.{t}", t, (t,), lambda a, s=sign: a & s - 1)
        yield Form(f"copysign.{t}", t, (t, t), lambda a, b, s=sign: a & s | b & s - 1)
        tests: dict[str, Callable[[float], object]] = {
            "finite": np.isfinite,
            "infinite": np.isinf,
            "number": lambda x: not np.isnan(x),
            "notanumber": np.isnan,
            "normal": lambda x, t=t: np.isfinite(x) and abs(x) >= np.finfo(FLOATS[t]).tiny,
            "subnormal": lambda x, t=t: 0 < abs(x) < np.finfo(FLOATS[t]).tiny,
        }
        for name, test in tests.items():
            yield Form(f"testp.{name}.{t}", "pred", (t,), lambda a, f=test, t=t: int(bool(f(real(a, t)))))
    for name in ("min", "max"):
        yield Form(f"{name}.NaN.f32", "f32", ("f32", "f32"), lambda a, b, n=name: _extreme(a, b, n, "f32", True))


def _extreme(a: int, b: int, name: str, t: str, nan_wins: bool = False) -> int:
    """The smaller or larger number, −0 below +0; a NaN only where both are, or where it wins."""
    x, y = real(a, t), real(b, t)
    if np.isnan(x) or np.isnan(y):
        return NAN[t] if nan_wins or (np.isnan(x) and np.isnan(y)) else b if np.isnan(x) else a
    key = lambda bits: (float(real(bits, t)), not bits >> size(t) - 1)  # noqa: E731
    return (min if name == "min" else max)(a, b, key=key)


_ROUND: dict[str, Callable[[float], int]] = {"rni": round, "rzi": math.trunc, "rmi": math.floor, "rpi": math.ceil}


def _conversions() -> Iterator[Form]:
    integers = ("u8", "s8", *INTEGERS)
    for d in integers:
        for s in integers:
            yield form(f"cvt.{d}.{s}", d, s, lambda a: a)
            if not clamp(-(1 << 80), d) <= clamp(-(1 << 80), s) <= clamp(1 << 80, s) <= clamp(1 << 80, d):
                yield form(f"cvt.sat.{d}.{s}", d, s, lambda a, d=d: clamp(a, d))
        for f in FLOATS:
            yield form(
                f"cvt.rn.{f}.{d}", f, d, lambda a, d=d, f=f: bits_of(np.array(a, _numpy(d)).astype(FLOATS[f]), f)
            )
            for rounding in _ROUND:
                for saturated in ("", ".sat"):
                    yield form(
                        f"cvt.{rounding}{saturated}.{d}.{f}",
                        d,
                        f,
                        lambda a, d=d, f=f, r=rounding: _to_integer(a, d, f, r),
                    )
    for f in FLOATS:
        yield Form(f"cvt.{f}.{f}", f, (f,), lambda a: a)
        for rounding in _ROUND:
            yield Form(f"cvt.{rounding}.{f}.{f}", f, (f,), lambda a, f=f, r=rounding: _whole(a, f, r))
        yield Form(
            f"cvt.{f}.f16", f, ("b16",), lambda a, f=f: bits_of(np.array(a, "u2").view("f2").astype(FLOATS[f]), f)
        )
        yield Form(f"cvt.rn.f16.{f}", "b16", (f,), lambda a, f=f: _half(real(a, f)))
    yield Form("cvt.f64.f32", "f64", ("f32",), lambda a: bits_of(np.float64(real(a, "f32")), "f64"))
    yield Form("cvt.rn.f32.f64", "f32", ("f64",), lambda a: bits_of(np.float32(real(a, "f64")), "f32"))


def _numpy(t: str) -> str:
    return f"{'i' if t[0] == 's' else 'u'}{size(t) // 8}"


def _half(value: float) -> int:
    return NAN["f16"] if np.isnan(value) else int(np.array(value).astype(np.float16).view("u2"))


def _to_integer(bits: int, d: str, f: str, rounding: str) -> int:
    value = float(real(bits, f))
    if math.isnan(value):
        return 1 << size(d) - 1 if f == "f64" or size(d) == 64 else 0
    return clamp(_ROUND[rounding](value), d) if math.isfinite(value) else clamp(1 << 80 if value > 0 else -(1 << 80), d)


def _whole(bits: int, f: str, rounding: str) -> int:
    value = float(real(bits, f))
    if not math.isfinite(value):
        return bits_of(value, f)
    return bits_of(math.copysign(float(_ROUND[rounding](value)), value), f)
