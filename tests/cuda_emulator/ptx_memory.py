"""PTX instructions on memory, and those by which threads wait for each other or go elsewhere, by their full names."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product

from tests.cuda_emulator.ptx_integers import Emit, bits_of
from tests.cuda_emulator.ptx_operands import Operands, c_type, label_name, variable_name
from tests.cuda_emulator.ptx_text import PtxRefusedError

_TYPES = (*(f"{kind}{bits}" for bits in (8, 16, 32, 64) for kind in "bus"), "f32", "f64")
_SPACES = {"": "generic", ".global": "global", ".shared": "shared", ".local": "local", ".const": "const"}
_CACHES = ("", ".ca", ".cg", ".cs")
# Loads and stores that other threads are meant to see: what spinning and handing over is written with.
_STRONG_LOADS = (".volatile", *(f"{order}.{scope}" for order in (".relaxed", ".acquire") for scope in ("gpu", "sys")))
_STRONG_STORES = (".volatile", *(f"{order}.{scope}" for order in (".relaxed", ".release") for scope in ("gpu", "sys")))
_ORDERS = ("", *(f".{order}" for order in ("relaxed", "acquire", "release", "acq_rel")))
_SCOPES = ("", ".gpu", ".sys")


def memory_instructions() -> Iterator[tuple[str, Emit]]:
    """All of them."""
    yield from _moves()
    yield from _loads_and_stores()
    yield from _atomics()
    yield from _meetings()
    yield from _flow()


def _moves() -> Iterator[tuple[str, Emit]]:
    for t in ("pred", *(t for t in _TYPES if t[1:] != "8")):
        yield f"mov.{t}", partial(_move, t if t == "pred" else bits_of(t))
    for bits in (32, 64):
        for space in ("global", "const", "local"):
            yield f"cvta.{space}.u{bits}", lambda o, b=bits: o.put(o.value(1, f"u{b}"), f"u{b}")
            yield f"cvta.to.{space}.u{bits}", lambda o, b=bits: o.put(o.value(1, f"u{b}"), f"u{b}")
    yield "cvta.shared.u64", lambda o: o.put(f"(uint64_t)(uintptr_t)self->block->shared + {o.value(1, 'u64')}", "u64")
    yield (
        "cvta.to.shared.u64",
        lambda o: o.put(f"{o.value(1, 'u64')} - (uint64_t)(uintptr_t)self->block->shared", "u64"),
    )


def _move(t: str, o: Operands) -> str:
    """A move; a vector on either side is put together or taken apart, the lowest part first."""
    to, given = o.vector(0), o.vector(1)
    if len(to) > 1:
        each = int(t[1:]) // len(to)
        parts = " ".join(o.assign(part, f"whole >> {each * place}", f"b{each}") for place, part in enumerate(to))
        return f"{{ const uint64_t whole = {o.value(1, t)}; {parts} }}"
    if len(given) > 1:
        each = int(t[1:]) // len(given)
        parts = (f"(uint64_t){o.read(part, f'b{each}')} << {each * place}" for place, part in enumerate(given))
        return o.put(" | ".join(parts), t)
    return o.put(o.value(1, t), t)


def _loads_and_stores() -> Iterator[tuple[str, Emit]]:
    for (word, space), t, vector in product(_SPACES.items(), _TYPES, ("", ".v2", ".v4")):
        caches = _CACHES if space in ("generic", "global") else ("",)
        for cache in (*caches, *((".nc",) if space == "global" else ())):
            yield f"ld{word}{cache}{vector}.{t}", lambda o, s=space, t=t: _load(o, s, t, "")
        for strong in _STRONG_LOADS if space in ("generic", "global", "shared") else ():
            yield f"ld{strong}{word}{vector}.{t}", lambda o, s=space, t=t, order=strong: _load(o, s, t, order)
        for cache in caches if space != "const" else ():
            yield f"st{word}{cache}{vector}.{t}", lambda o, s=space, t=t: _store(o, s, t, "")
        for strong in _STRONG_STORES if space in ("generic", "global", "shared") else ():
            yield f"st{strong}{word}{vector}.{t}", lambda o, s=space, t=t, order=strong: _store(o, s, t, order)
    for t, vector in product(_TYPES, ("", ".v2", ".v4")):
        yield f"ld.param{vector}.{t}", lambda o, t=t: _load(o, "param", t, "")
        yield f"st.param{vector}.{t}", lambda o, t=t: _store(o, "param", t, "")


def _load(o: Operands, space: str, t: str, order: str) -> str:
    own = space in ("local", "param", "const")
    t = bits_of(t) if t[0] == "f" else t
    size, parts = int(t[1:]) // 8, o.vector(0)
    at = o.address(1, space)
    reads = (f"ptx_load_{t}(at + {place * size})" for place in range(len(parts)))
    puts = " ".join(o.assign(part, read, t) for part, read in zip(parts, reads, strict=True))
    watch = "" if own else f"PTX_WATCH_{'STRONG_' if order else ''}READ(at, {size * len(parts)}); "
    before = "emulated_yield(); " if order and space != "shared" else ""
    after = " PTX_FENCE();" if ".acquire" in order else ""
    return f"{{ {before}const unsigned char *const at = {at}; {watch}{puts}{after} }}"


def _store(o: Operands, space: str, t: str, order: str) -> str:
    own = space in ("local", "param")
    t = bits_of(t) if t[0] == "f" else t
    size, parts = int(t[1:]) // 8, o.vector(1)
    writes = " ".join(f"ptx_store_{t}(at + {place * size}, {o.read(part, t)});" for place, part in enumerate(parts))
    watch = "" if own else f"PTX_WATCH_{'STRONG_' if order else ''}WRITE(at, {size * len(parts)}); "
    before = "PTX_FENCE(); " if ".release" in order else ""
    after = " emulated_made_progress();" if order else ""
    return f"{{ unsigned char *const at = {o.address(0, space)}; {before}{watch}{writes}{after} }}"


def _atomics() -> Iterator[tuple[str, Emit]]:
    operations = [("add", t, "old + given") for t in ("u32", "s32", "u64")]
    operations += [(n, t, f"old {c} given ? old : given") for n, c in (("min", "<"), ("max", ">")) for t in _WIDTHS]
    operations += [
        (n, f"b{b}", f"old {c} given") for n, c in (("and", "&"), ("or", "|"), ("xor", "^")) for b in (32, 64)
    ]
    operations += [
        ("inc", "u32", "old >= given ? 0 : old + 1"),
        ("dec", "u32", "!old || old > given ? given : old - 1"),
    ]
    for order, scope, (word, space) in product(_ORDERS, _SCOPES, list(_SPACES.items())[:3]):
        # The scope stands before the space in PTX's manual, and behind it in what NVRTC writes.
        for way in dict.fromkeys((f"{order}{scope}{word}", f"{order}{word}{scope}")):
            for name, t, new in operations:
                for kind, first in (("atom", 1), ("red", 0)):
                    yield f"{kind}{way}.{name}.{t}", _atomic(space, t, new, first, order)
            for t in ("b32", "b64"):
                yield f"atom{way}.exch.{t}", _atomic(space, t, "given", 1, order)
                yield f"atom{way}.cas.{t}", _atomic(space, t, "old == given ? other : old", 1, order, True)


_WIDTHS = ("u32", "s32", "u64", "s64")


def _atomic(space: str, t: str, new: str, first: int, order: str, two: bool = False) -> Emit:
    """An atomic operation on the address at `first`; where that is 1 the old value goes to operand 0."""

    def emit(o: Operands) -> str:
        given = f"given = {o.value(first + 1, t)}" + (f", other = {o.value(first + 2, t)}" if two else "")
        put = o.put("old", t) if first else ""
        before = "PTX_FENCE(); " if order in (".release", ".acq_rel") else ""
        after = " PTX_FENCE();" if order in (".acquire", ".acq_rel") else ""
        return (
            f"{{ unsigned char *const at = {o.address(first, space)}; const {c_type(t)} {given}; {before}"
            f"PTX_WATCH_ATOMIC(at, {int(t[1:]) // 8}); const {c_type(t)} old = ({c_type(t)})ptx_load_{t}(at); "
            f"ptx_store_{t}(at, {new}); emulated_made_progress(); {put}{after} }}"
        )

    return emit


def _meetings() -> Iterator[tuple[str, Emit]]:
    for name in ("bar.sync", "barrier.sync", "barrier.sync.aligned"):
        yield name, _sync
    yield "bar.red.popc.u32", partial(_vote_of_block, "votes", "u32")
    yield "bar.red.or.pred", partial(_vote_of_block, "votes != 0", "pred")
    yield "bar.red.and.pred", partial(_vote_of_block, "votes == voters", "pred")
    yield "bar.warp.sync", lambda o: f"emulated_sync_warp({o.value(0, 'u32')});"
    for scope in ("gl", "sys"):
        yield f"membar.{scope}", lambda o: "PTX_FENCE();"
    for kind, scope in product(("acq_rel", "sc"), ("gpu", "sys")):
        yield f"fence.{kind}.{scope}", lambda o: "PTX_FENCE();"
    for name in ("membar.cta", "fence.acq_rel.cta", "fence.sc.cta"):
        yield name, lambda o: ";"  # orders nothing between blocks, and inside one barriers do
    for mode in ("up", "down", "bfly", "idx"):
        yield f"shfl.sync.{mode}.b32", lambda o, mode=mode: _shuffle(o, mode)
    for kind in ("ballot", "all", "any", "uni"):
        t = "b32" if kind == "ballot" else "pred"
        yield (
            f"vote.sync.{kind}.{t}",
            lambda o, kind=kind, t=t: o.put(f"ptx_vote_{kind}({o.value(2, 'u32')}, {o.value(1, 'pred')})", t),
        )
    yield "nanosleep.u32", lambda o: "emulated_yield();"


def _sync(o: Operands) -> str:
    if len(o.texts) != 1:
        raise PtxRefusedError(f"{o.opcode} of a part of the threads")
    return f"emulated_sync_block({o.value(0, 'u32')}, 0, 0);"


def _vote_of_block(result: str, t: str, o: Operands) -> str:
    votes = f"emulated_sync_block({o.value(1, 'u32')}, {o.value(2, 'pred')}, &voters)"
    return f"{{ unsigned voters; const unsigned votes = {votes}; {o.put(result, t)} }}"


def _shuffle(o: Operands, mode: str) -> str:
    register, _, predicate = o.texts[0].partition("|")
    call = f"ptx_shuffle_{mode}({', '.join(o.value(place, 'u32') for place in (1, 2, 3, 4))}, &valid)"
    valid = o.assign(predicate, "valid", "pred") if predicate else ""
    return f"{{ int valid; {o.assign(register, call, 'b32')} {valid} }}"


def _flow() -> Iterator[tuple[str, Emit]]:
    for name in ("bra", "bra.uni"):
        yield name, lambda o: f"goto {o.label(0)};"
    for name in ("brx.idx", "brx.idx.uni"):
        yield name, _branch_by_number
    for name in ("ret", "ret.uni"):
        yield name, lambda o: "return;"
    for name in ("call", "call.uni"):
        yield name, _call
    yield "trap", lambda o: 'emulated_fail("trap");'
    yield "exit", _exit


def _branch_by_number(o: Operands) -> str:
    labels = o.scope.branch_targets.get(o.texts[1], ())
    cases = " ".join(f"case {number}: goto {label_name(label)};" for number, label in enumerate(labels))
    return f"switch ({o.value(0, 'u32')}) {{ {cases} }}"


def _exit(o: Operands) -> str:
    if not o.scope.entry:
        raise PtxRefusedError("exit in a device function")
    return "return;"


def _call(o: Operands) -> str:
    """A device function gets the addresses of its result and its parameters."""
    texts = list(o.texts)
    results = texts.pop(0).strip("()").split(",") if texts[0].startswith("(") else []
    name = texts.pop(0)
    if name.startswith("%"):
        raise PtxRefusedError("a call of a function by its address")
    given = texts[0].strip("()").split(",") if texts else []
    names = [text.strip() for text in (*results, *given) if text.strip()]
    unknown = [text for text in names if text not in o.scope.variables]
    if unknown:
        raise PtxRefusedError(f"call {name}: the parameter {unknown[0]!r} is not declared")
    return f"f_{name.replace('$', '_')}({', '.join(map(variable_name, names))});"
