"""PTX instructions on integers, bits and predicates, by their full names, and the C that does the same.

Sums and products are made in 64 bits: their low bits do not depend on the sign or on what lies above.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from tests.cuda_emulator.ptx_operands import Operands, c_type

Emit = Callable[[Operands], str]

INTEGERS = tuple(f"{sign}{bits}" for bits in (16, 32, 64) for sign in "us")
_WIDER = {"u16": "u32", "s16": "s32", "u32": "u64", "s32": "s64"}
COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_UNSIGNED_COMPARISONS = {"lo": "<", "ls": "<=", "hi": ">", "hs": ">="}
_LOGIC = {"and": "&", "or": "|", "xor": "^"}


def integer_instructions() -> Iterator[tuple[str, Emit]]:
    """All of them."""
    yield from _arithmetic()
    yield from _products()
    yield from _bits()
    yield from _comparisons()


def _arithmetic() -> Iterator[tuple[str, Emit]]:
    for t in INTEGERS:
        yield f"add.{t}", partial(_infix, "+", t)
        yield f"sub.{t}", partial(_infix, "-", t)
        yield f"min.{t}", partial(_chosen, "<", t)
        yield f"max.{t}", partial(_chosen, ">", t)
        yield f"div.{t}", calls(f"ptx_div_{t}", t, t, t)
        yield f"rem.{t}", calls(f"ptx_rem_{t}", t, t, t)
    for t in ("s16", "s32", "s64"):
        yield f"neg.{t}", lambda o, t=t: o.put(f"0 - (uint64_t){o.value(1, t)}", t)
        yield (
            f"abs.{t}",
            lambda o, t=t: o.put(f"{o.value(1, t)} < 0 ? 0 - (uint64_t){o.value(1, t)} : {o.value(1, t)}", t),
        )
    for t in ("u32", "s32"):
        yield (
            f"sad.{t}",
            lambda o, t=t: o.put(
                f"{o.value(3, 'u32')} + (uint32_t)({o.value(1, t)} < {o.value(2, t)} ? "
                f"{o.value(2, 'u32')} - {o.value(1, 'u32')} : {o.value(1, 'u32')} - {o.value(2, 'u32')})",
                "u32",
            ),
        )
    yield "add.sat.s32", calls("ptx_add_sat", "s32", "s32", "s32")
    yield "sub.sat.s32", calls("ptx_sub_sat", "s32", "s32", "s32")


def _products() -> Iterator[tuple[str, Emit]]:
    for t in INTEGERS:
        yield f"mul.lo.{t}", partial(_infix, "*", t)
        yield f"mad.lo.{t}", lambda o, t=t: o.put(f"{_wide(o, 1, t)} * {_wide(o, 2, t)} + {_wide(o, 3, t)}", t)
        yield f"mul.hi.{t}", lambda o, t=t: o.put(_high(o, t), t)
        yield f"mad.hi.{t}", lambda o, t=t: o.put(f"(uint64_t)({_high(o, t)}) + {_wide(o, 3, t)}", t)
    for t, wider in _WIDER.items():
        product = lambda o, t=t, w=wider: f"({c_type(w)}){o.value(1, t)} * ({c_type(w)}){o.value(2, t)}"  # noqa: E731
        yield f"mul.wide.{t}", lambda o, w=wider, p=product: o.put(p(o), w)
        yield f"mad.wide.{t}", lambda o, w=wider, p=product: o.put(f"(uint64_t)({p(o)}) + {o.value(3, 'u64')}", w)
    for a in ("u32", "s32"):
        for b in ("u32", "s32"):
            yield f"dp4a.{a}.{b}", calls(f"ptx_dp4a_{a[0]}{b[0]}", "u32", "u32", "u32", "u32")


def _bits() -> Iterator[tuple[str, Emit]]:
    for t in ("pred", "b16", "b32", "b64"):
        for name, sign in _LOGIC.items():
            yield f"{name}.{t}", lambda o, t=t, sign=sign: o.put(f"{o.value(1, t)} {sign} {o.value(2, t)}", t)
        yield f"not.{t}", lambda o, t=t: o.put(f"{'!' if t == 'pred' else '~'}({o.value(1, t)})", t)
    for bits in (16, 32, 64):
        yield f"cnot.b{bits}", lambda o, t=f"b{bits}": o.put(f"!{o.value(1, t)}", t)
        for name, t in (("shl", f"b{bits}"), ("shr", f"b{bits}"), ("shr", f"u{bits}"), ("shr", f"s{bits}")):
            kind = "s" if t[0] == "s" else "u"
            yield (
                f"{name}.{t}",
                lambda o, t=t, f=f"ptx_{name}_{kind}": o.put(f"{f}({o.value(1, t)}, {o.value(2, 'u32')}, {t[1:]})", t),
            )
    for bits in (32, 64):
        t = f"b{bits}"
        wide = "ll" if bits == 64 else ""
        yield f"popc.{t}", lambda o, t=t, w=wide: o.put(f"__builtin_popcount{w}({o.value(1, t)})", "u32")
        yield f"clz.{t}", calls(f"ptx_clz{bits}", "u32", t)
        yield f"brev.{t}", calls(f"__builtin_bitreverse{bits}", t, t)
        yield (
            f"bfi.{t}",
            lambda o, t=t, bits=bits: o.put(
                f"ptx_bfi({o.value(1, t)}, {o.value(2, t)}, {o.value(3, 'u32')}, {o.value(4, 'u32')}, {bits})", t
            ),
        )
        for sign in "us":
            bfe = f"ptx_bfe_{sign}"
            yield (
                f"bfe.{sign}{bits}",
                lambda o, t=f"{sign}{bits}", f=bfe, bits=bits: o.put(
                    f"{f}({o.value(1, t)}, {o.value(2, 'u32')}, {o.value(3, 'u32')}, {bits})", t
                ),
            )
            for amount in ("", ".shiftamt"):
                yield (
                    f"bfind{amount}.{sign}{bits}",
                    lambda o, t=f"{sign}{bits}", b=bits, a=int(bool(amount)): o.put(
                        f"ptx_bfind({o.value(1, t)} < 0 ? ~{o.value(1, t)} : {o.value(1, t)}, {b}, {a})", "u32"
                    ),
                )
    yield "prmt.b32", calls("ptx_prmt", "b32", "b32", "b32", "b32")
    yield "lop3.b32", calls("ptx_lop3", "b32", "b32", "b32", "b32", "u32")
    for side in "lr":
        for mode in ("wrap", "clamp"):
            yield f"shf.{side}.{mode}.b32", calls(f"ptx_shf_{side}_{mode}", "b32", "b32", "b32", "u32")


def _comparisons() -> Iterator[tuple[str, Emit]]:
    for t in (*INTEGERS, "b16", "b32", "b64"):
        signs = dict(list(COMPARISONS.items())[:2]) if t[0] == "b" else COMPARISONS
        for name, sign in (signs | (_UNSIGNED_COMPARISONS if t[0] == "u" else {})).items():
            test = lambda o, t=t, sign=sign: f"{o.value(1, t)} {sign} {o.value(2, t)}"  # noqa: E731
            yield from comparison(name, t, test)
    for t in ("b16", "b32", "b64", *INTEGERS, "f32", "f64"):
        yield f"selp.{t}", partial(_select, bits_of(t), "pred", "")
        yield f"slct.{t}.s32", partial(_select, bits_of(t), "s32", " >= 0")
        yield f"slct.{t}.f32", partial(_select, bits_of(t), "f32", " >= 0")


def comparison(name: str, t: str, test: Emit) -> Iterator[tuple[str, Emit]]:
    """setp and set with one comparison, also joined with a predicate; `p|q` gets the answer and its opposite."""
    yield f"setp.{name}.{t}", lambda o: _put_both(o, test(o), "")
    for logic, sign in _LOGIC.items():
        yield f"setp.{name}.{logic}.{t}", lambda o, sign=sign: _put_both(o, test(o), sign)
    for result in ("u32", "s32"):
        yield f"set.{name}.{result}.{t}", lambda o: o.put(f"({test(o)}) ? ~0u : 0u", "u32")


def calls(function: str, result: str, *types: str) -> Emit:
    """A C function of operands of these types, behind the one for its result."""

    def emit(o: Operands) -> str:
        return o.put(f"{function}({', '.join(o.value(place, t) for place, t in enumerate(types, 1))})", result)

    return emit


def bits_of(t: str) -> str:
    """The type of the same size that is nothing but bits."""
    return f"b{t[1:]}"


def _put_both(o: Operands, test: str, logic: str) -> str:
    joined = f" {logic} {o.value(3, 'pred')}" if logic else ""
    first, _, second = o.texts[0].partition("|")
    if not second:
        return o.assign(first, f"({test}){joined}", "pred")
    both = f"const uint8_t is = ({test}){joined}, is_not = (!({test})){joined};"
    return f"{{ {both} {o.assign(first, 'is', 'pred')} {o.assign(second, 'is_not', 'pred')} }}"


def _select(t: str, chooser: str, test: str, o: Operands) -> str:
    return o.put(f"{o.value(3, chooser)}{test} ? {o.value(1, t)} : {o.value(2, t)}", t)


def _wide(o: Operands, place: int, t: str) -> str:
    return f"(uint64_t){o.value(place, t)}"


def _high(o: Operands, t: str) -> str:
    wide = f"{'' if t[0] == 's' else 'unsigned '}__int128"
    return f"({wide}){o.value(1, t)} * ({wide}){o.value(2, t)} >> {t[1:]}"


def _infix(sign: str, t: str, o: Operands) -> str:
    return o.put(f"{_wide(o, 1, t)} {sign} {_wide(o, 2, t)}", t)


def _chosen(sign: str, t: str, o: Operands) -> str:
    return o.put(f"{o.value(1, t)} {sign} {o.value(2, t)} ? {o.value(1, t)} : {o.value(2, t)}", t)
