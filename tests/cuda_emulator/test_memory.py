"""Instructions on memory, between threads, and on the way through a kernel; and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.cuda_emulator.kernels import KernelError, Kernels, load_ptx
from tests.cuda_emulator.ptx_text import PtxRefusedError
from tests.cuda_emulator.ptx_to_c import translate

TYPES = (*(f"{kind}{bits}" for bits in (8, 16, 32, 64) for kind in "bus"), "f32", "f64")
HEAD = ".version 7.4\n.target sm_72\n.address_size 64\n"
COPIES = [
    (space, vector, t)
    for space in (".shared", ".local", "", ".global", ".volatile.shared")
    for vector, count in (("", 1), (".v2", 2), (".v4", 4))
    for t in TYPES
    if count * int(t[1:]) <= 128
]
ATOMICS: dict[str, Callable[[int, int], int]] = {
    "add.u32": lambda old, given: old + given,
    "min.s32": min,
    "max.u32": max,
    "and.b32": lambda old, given: old & given,
    "or.b32": lambda old, given: old | given,
    "xor.b32": lambda old, given: old ^ given,
    "exch.b32": lambda _, given: given,
    "inc.u32": lambda old, given: 0 if old >= given else old + 1,
    "dec.u32": lambda old, given: given if old == 0 or old > given else old - 1,
}
SHUFFLES = [
    *(("up", by, limits) for by in (1, 5) for limits in (0, 0x1800)),
    *(("down", by, limits) for by in (1, 9) for limits in (0x1F, 0x101F)),
    *(("bfly", by, limits) for by in (1, 16) for limits in (0x1F, 0x181F)),
    *(("idx", by, limits) for by in (0, 3) for limits in (0x1F, 0x181F)),
]


def copies() -> str:
    """Each type by each way to memory and back: loaded, stored to a space, loaded from there, stored."""
    lines = []
    for place, (space, vector, t) in enumerate(COPIES):
        letter = {"f32": "f", "f64": "d"}.get(t, "l")
        count = int(vector[-1:] or 1)
        registers = ", ".join(f"%{letter}{i}" for i in range(count))
        registers = f"{{{registers}}}" if vector else registers
        way = {"shared": "%s", "local": "%depot", "": "%generic", "global": "%spare"}[space.rpartition(".")[2]]
        lines += [
            f"ld.global{vector}.{t} {registers}, [%in+{16 * place}];",
            f"st{space}{vector}.{t} [{way}], {registers};",
            f"ld{space}{vector}.{t} {registers}, [{way}];",
            f"st.global{vector}.{t} [%out+{16 * place}], {registers};",
        ]
    return f"""
.visible .entry copies(.param .u64 given, .param .u64 result, .param .u64 spare) {{
    .reg .b64 %l<4>, %in, %out, %s, %depot, %generic, %spare; .reg .f32 %f<4>; .reg .f64 %d<4>;
    .local .align 16 .b8 depot[16];
    .shared .align 16 .b8 room[16];
    .shared .align 16 .b8 other[16];
    ld.param.u64 %in, [given]; ld.param.u64 %out, [result]; ld.param.u64 %spare, [spare];
    mov.u64 %s, room; mov.u64 %generic, other; cvta.shared.u64 %generic, %generic; mov.u64 %depot, depot;
    {" ".join(lines)}
    ret;
}}"""


def atomics() -> str:
    """Every thread does each operation on a number of its own kind, and keeps what it found."""
    lines = " ".join(
        f"atom.global.{name} %r1, [%at+{4 * place}], %r0; st.global.u32 [%out+{128 * place}], %r1;"
        for place, name in enumerate(ATOMICS)
    )
    return f"""
.visible .entry atomics(.param .u64 numbers, .param .u64 found) {{
    .reg .b64 %at, %out, %l0; .reg .b32 %r<2>;
    ld.param.u64 %at, [numbers]; ld.param.u64 %out, [found];
    mov.u32 %r0, %tid.x; mul.wide.u32 %l0, %r0, 4; add.s64 %out, %out, %l0;
    mad.lo.s32 %r0, %r0, 37, 11; and.b32 %r0, %r0, 63;
    {lines}
    ret;
}}"""


def warps() -> str:
    """Shuffles of what each lane holds, with whether the lane was there, and votes."""
    lines = " ".join(
        f"shfl.sync.{mode}.b32 %r1|%p1, %r0, {by}, {limits}, -1; selp.b32 %r2, 1000, 0, %p1; add.u32 %r1, %r1, %r2; "
        f"st.global.u32 [%out+{128 * place}], %r1;"
        for place, (mode, by, limits) in enumerate(SHUFFLES)
    )
    at = 128 * len(SHUFFLES)
    return f"""
.visible .entry warps(.param .u64 result) {{
    .reg .b64 %out, %l0; .reg .b32 %r<4>; .reg .pred %p<4>;
    ld.param.u64 %out, [result];
    mov.u32 %r0, %tid.x; mul.wide.u32 %l0, %r0, 4; add.s64 %out, %out, %l0;
    {lines}
    and.b32 %r1, %r0, 5; setp.eq.u32 %p1, %r1, 1;
    vote.sync.ballot.b32 %r1, %p1, -1; st.global.u32 [%out+{at}], %r1;
    vote.sync.any.pred %p2, !%p1, -1; selp.b32 %r1, 1, 0, %p2; st.global.u32 [%out+{at + 128}], %r1;
    vote.sync.all.pred %p2, %p1, -1; selp.b32 %r1, 1, 0, %p2; st.global.u32 [%out+{at + 256}], %r1;
    bar.red.popc.u32 %r1, 0, %p1; st.global.u32 [%out+{at + 384}], %r1;
    ret;
}}"""


FLOW = """
.const .align 4 .b32 table[4] = {7, 0x10, -1, 3};
.global .align 8 .b64 kept = 5;
.extern .shared .align 16 .b8 dynamic[];
.func (.param .b32 func_retval0) twice(.param .b32 twice_param_0, .param .align 4 .b8 twice_param_1[8]) {
    .reg .b32 %r<4>;
    ld.param.u32 %r0, [twice_param_0]; ld.param.u32 %r1, [twice_param_1+4];
    add.s32 %r2, %r0, %r0; add.s32 %r2, %r2, %r1;
    st.param.b32 [func_retval0+0], %r2;
    ret;
}
.visible .entry flow(.param .u64 result, .param .u32 choice, .param .f32 number) {
    .reg .b64 %out, %l<4>; .reg .b32 %r<8>; .reg .pred %p<4>; .reg .f32 %f<2>;
    ld.param.u64 %out, [result]; ld.param.u32 %r0, [choice]; ld.param.f32 %f0, [number];
    ts: .branchtargets $L_one, $L_two, $L_two;
    brx.idx %r0, ts;
$L_one:
    mov.u32 %r1, 100;
    bra.uni $L_join;
$L_two:
    mov.u32 %r1, 200;
$L_join:
    setp.gt.and.u32 %p1|%p2, %r1, 150, %p0;
    setp.gt.or.u32 %p1|%p2, %r1, 150, %p0;
    @%p1 add.u32 %r1, %r1, 1;
    @!%p1 add.u32 %r1, %r1, 2;
    @%p2 add.u32 %r1, %r1, 4;
    {   .param .b32 param0; .param .align 4 .b8 param1[8]; .param .b32 retval0;
        st.param.b32 [param0+0], %r1; st.param.b32 [param1+0], 0; st.param.b32 [param1+4], 9;
        call.uni (retval0), twice, (param0, param1);
        ld.param.b32 %r2, [retval0+0]; }
    mul.wide.u32 %l0, %r0, 4; mov.u64 %l1, table; add.s64 %l1, %l1, %l0;
    ld.const.u32 %r3, [%l1]; ld.const.s32 %r4, [table+8];
    ld.global.u64 %l2, [kept];
    mov.u32 %r5, dynamic; st.shared.u32 [%r5+4], %r2; ld.shared.u32 %r6, [dynamic+4];
    st.global.v4.u32 [%out], {%r2, %r3, %r4, %r6}; st.global.u64 [%out+16], %l2; st.global.f32 [%out+24], %f0;
    mov.b64 %l3, {%r2, %r3}; mov.b64 {%r5, %r6}, %l3; st.global.u32 [%out+28], %r6;
    ret;
}
.visible .entry askew(.param .u64 result) {
    .reg .b64 %out; .reg .b32 %r0;
    ld.param.u64 %out, [result];
    ld.global.u32 %r0, [%out+2];
    ret;
}
.visible .entry locked(.param .u64 numbers) {
    .reg .b32 %r<4>; .reg .pred %p<4>; .reg .b64 %at;
    ld.param.u64 %at, [numbers];
$L_try:
    atom.global.cas.b32 %r0, [%at], 0, 1; setp.ne.u32 %p0, %r0, 0;
    @%p0 bra $L_try;
    membar.gl;
    ld.volatile.global.u32 %r1, [%at+4]; add.u32 %r1, %r1, 1; st.volatile.global.u32 [%at+4], %r1;
    membar.gl;
    atom.global.exch.b32 %r0, [%at], 0;
    ret;
}
.visible .entry stuck(.param .u32 spin, .param .u64 flag) {
    .reg .b32 %r<4>; .reg .pred %p<4>; .reg .b64 %at;
    ld.param.u32 %r0, [spin]; ld.param.u64 %at, [flag]; setp.ne.u32 %p0, %r0, 0;
    setp.eq.u32 %p3, %r0, 2;
    @%p3 bra $L_cas;
    @%p0 bra $L_spin;
    mov.u32 %r1, %tid.x; setp.ge.u32 %p1, %r1, 32;
    @%p1 bar.sync 0;
    @!%p1 bar.sync 1;
    ret;
$L_cas:
    atom.global.cas.b32 %r2, [%at], 1, 0; setp.eq.u32 %p2, %r2, 0;
    @%p2 bra $L_cas;
    ret;
$L_spin:
    ld.volatile.global.u32 %r2, [%at]; setp.eq.u32 %p2, %r2, 0;
    @%p2 bra $L_spin;
    ret;
}"""


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    """All kernels of this file in one module."""
    text = "".join((HEAD, copies(), atomics(), warps(), FLOW))
    return load_ptx(text, tmp_path_factory.mktemp("memory"))


def test_every_type_comes_back_from_every_memory(kernels: Kernels) -> None:
    """Bytes are the same after a store and a load in each state space, one by one and as vectors."""
    given = np.random.default_rng(0).integers(0, 256, (len(COPIES), 16), np.uint8)
    result, spare = np.zeros_like(given), np.zeros(16, np.uint8)
    kernels.launch("copies", 1, 1, given, result, spare)
    for place, (space, vector, t) in enumerate(COPIES):
        used = int(vector[-1:] or 1) * int(t[1:]) // 8
        assert result[place, :used].tolist() == given[place, :used].tolist(), (space, vector, t)
        assert not result[place, used:].any()


@pytest.mark.parametrize("seed", [0, 1])
def test_atomic_operations_are_done_one_after_the_other(kernels: Kernels, seed: int) -> None:
    """Each thread finds what the one before it left; ascending for the seed 0, descending for 1."""
    begin = 20
    numbers, found = np.full(len(ATOMICS), begin, np.uint32), np.zeros((len(ATOMICS), 32), np.uint32)
    kernels.launch("atomics", 1, 32, numbers, found, seed=seed)
    for place, (name, compute) in enumerate(ATOMICS.items()):
        value = begin
        for thread in range(32) if seed == 0 else reversed(range(32)):
            assert found[place, thread] == value, name
            value = compute(value, thread * 37 + 11 & 63)
        assert numbers[place] == value


def _shuffled(mode: str, by: int, limits: int, lane: int) -> int:
    """PTX's pseudo-code of shfl, for lanes that hold their number; 1000 more where the lane was there."""
    segment, clamp = limits >> 8 & 31, limits & 31
    last, first = lane & segment | clamp & ~segment, lane & segment
    source = {"up": lane - by, "down": lane + by, "bfly": lane ^ by, "idx": first | by & ~segment}[mode]
    there = source >= last if mode == "up" else source <= last
    return source + 1000 if there else lane


@pytest.mark.parametrize("seed", [0, 5])
def test_lanes_exchange_and_vote(kernels: Kernels, seed: int) -> None:
    """Shuffles and votes give what PTX says, in any order of threads."""
    result = np.zeros((len(SHUFFLES) + 4, 32), np.uint32)
    kernels.launch("warps", 1, 32, result, seed=seed)
    for place, (mode, by, limits) in enumerate(SHUFFLES):
        assert result[place].tolist() == [_shuffled(mode, by, limits, lane) for lane in range(32)], (mode, by, limits)
    voters = [lane & 5 == 1 for lane in range(32)]
    ballot = sum(1 << lane for lane in range(32) if voters[lane])
    assert result[len(SHUFFLES) :, 0].tolist() == [ballot, 1, 0, sum(voters)]


@pytest.mark.parametrize(("choice", "made"), [(0, 106), (1, 201), (2, 201)])
def test_a_kernel_finds_its_way(kernels: Kernels, choice: int, made: int) -> None:
    """Branches by number, predicates, a call with a structure, tables, and shared memory that the launch gives."""
    result = np.zeros(8, np.uint32)
    kernels.launch("flow", 1, 1, result, choice, 1.5, shared=16)
    table = (7, 0x10, 0xFFFFFFFF, 3)
    expected = [2 * made + 9, table[choice], table[2], 2 * made + 9, 5, 0, 0x3FC00000, table[choice]]
    assert result.tolist() == expected


def test_an_address_that_is_no_multiple_of_the_size_is_an_error(kernels: Kernels) -> None:
    """As on a GPU, where processors forgive it."""
    with pytest.raises(KernelError, match="a load of 4 bytes"):
        kernels.launch("askew", 1, 1, np.zeros(8, np.uint32))


@pytest.mark.parametrize(("spin", "told"), [(0, "wait for each other"), (1, "wait for each other"), (2, "atomic")])
def test_threads_that_wait_for_ever_are_found(kernels: Kernels, spin: int, told: str) -> None:
    """At barriers that not all come to, and before a number that nobody changes, however they look at it."""
    flag: NDArray[np.uint32] = np.zeros(1, np.uint32)
    with pytest.raises(KernelError, match=f"{told}.* for ever"):
        kernels.launch("stuck", 2, 64, spin, flag)


def test_a_lock_of_atomic_operations_is_handed_on(kernels: Kernels) -> None:
    """A thread that spins for it lets the one that holds it have its turn, in whatever block that is."""
    numbers: NDArray[np.uint32] = np.zeros(2, np.uint32)
    kernels.launch("locked", 3, 2, numbers, seed=1)
    assert numbers.tolist() == [0, 6]


@pytest.mark.parametrize(
    ("instruction", "why"),
    [
        ("fma.rn.f32 %f0, %f1, %f2, %f3", "fused"),
        ("mad.rn.f32 %f0, %f1, %f2, %f3", "fused"),
        ("add.f32 %f0, %f1, %f2", "does not say how it rounds"),
        ("mul.f64 %d0, %d1, %d2", "does not say how it rounds"),
        ("add.rz.f32 %f0, %f1, %f2", "not round to the nearest"),
        ("add.rn.ftz.f32 %f0, %f1, %f2", "flushes"),
        ("ex2.approx.f32 %f0, %f1", "approximate"),
        ("div.approx.f32 %f0, %f1, %f2", "approximate"),
        ("sqrt.approx.ftz.f32 %f0, %f1", "approximate"),
        ("atom.global.add.f32 %f0, [%l0], %f1", "not fixed"),
        ("mov.u32 %r0, %clock", "%clock"),
        ("tex.1d.v4.f32.s32 %f0", "does not know"),
    ],
)
def test_what_is_not_exact_is_refused_by_name(instruction: str, why: str) -> None:
    """An instruction that is not in the tables is named, with the reason."""
    registers = ".reg .f32 %f<4>; .reg .f64 %d<4>; .reg .b64 %l<4>; .reg .b32 %r<4>;"
    with pytest.raises(PtxRefusedError, match=f"{instruction.split()[0]}.*{why}"):
        translate(f"{HEAD}.visible .entry all() {{ {registers} {instruction}; ret; }}")


def test_fused_arithmetic_rounds_once_where_it_is_let_pass(tmp_path: Path) -> None:
    """For tests that show what contraction does to a result."""
    text = f"""{HEAD}.visible .entry all(.param .u64 numbers) {{
        .reg .b64 %at; .reg .f32 %f<4>;
        ld.param.u64 %at, [numbers]; ld.global.v2.f32 {{%f0, %f1}}, [%at];
        fma.rn.f32 %f2, %f0, %f0, %f1; st.global.f32 [%at+8], %f2; ret; }}"""
    numbers = np.array([1 + 2**-12, -(1 + 2**-11), 0], np.float32)
    load_ptx(text, tmp_path, fused=True).launch("all", 1, 1, numbers)
    assert numbers[2] == np.float32(2**-24)
    assert numbers[0] * numbers[0] + numbers[1] == 0
