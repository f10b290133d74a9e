from __future__ import annotations

import pytest

from astroedge.errors import CompileError
from astroedge.targets.cuda.ptx_gate import check_ptx, instructions

TEXT = """
.version 7.4
.target sm_87
.address_size 64
.visible .entry run(
	.param .u64 run_param_0
)
{
	.reg .pred 	%p<2>;
	.reg .f32 	%f<4>;
	.shared .align 4 .b8 list[32];
	ld.param.u64 	%rd1, [run_param_0]; // fma.rn.f32 in a comment
	ld.global.v2.f32 	{%f1, %f2}, [%rd1];
	setp.neu.f32 	%p1, %f1, 0f00000000;
	@%p1 bra 	$L__BB0_2;
$L__BB0_1:	@!%p1 bra $L__BB0_2;
	{ // callseq 0, 0
	.param .b64 param0;
	call.uni (retval0),
	_Z4sumsf,
	(
	param0
	);
	}
$L__BB0_2:
	INSERTED
	ret;
}
"""

ALLOWED = (
    *("add.rn.f32", "mul.rn.f64", "div.rn.f32", "sqrt.rn.f32", "rcp.rn.f32", "neg.f32", "abs.f64", "cvt.rni.f32.f32"),
    *("cvt.f32.f16", "cvt.rn.f16.f32", "cvt.rzi.s32.f32", "cvt.rn.f32.s64", "setp.gt.and.f32", "selp.f32", "min.s32"),
    *("mad.lo.s32", "mul.wide.u32", "shf.l.wrap.b32", "prmt.b32", "dp4a.s32.s32", "atom.global.add.u64", "bar.sync"),
    *("shfl.sync.down.b32", "vote.sync.ballot.b32", "ld.volatile.global.u32", "ld.global.nc.f32", "membar.gl"),
)
REFUSED = (
    *(
        "fma.rn.f32",
        "mad.rn.f32",
        "add.f32",
        "mul.f32",
        "add.rz.f32",
        "add.rn.ftz.f32",
        "add.rn.sat.f32",
        "ex2.approx.f32",
    ),
    *(
        "div.approx.f32",
        "div.full.f32",
        "sqrt.approx.f32",
        "rsqrt.approx.f32",
        "tanh.approx.f32",
        "lg2.approx.f32",
    ),
    *("atom.global.add.f32", "red.global.add.f64", "cvt.rz.f32.f64", "cvt.rn.ftz.f32.f64", "add.f16", "fma.rn.f16x2"),
    *("wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32", "tex.1d.v4.f32.s32", "brandnew.f32"),
)


def test_every_instruction_is_found_and_nothing_else() -> None:
    """Those behind labels and predicates, over several lines and with vectors too; directives and comments are none."""
    found = list(instructions(TEXT.replace("INSERTED", "add.rn.f32 %f3, %f1, %f2;")))
    assert found == [
        *("ld.param.u64", "ld.global.v2.f32", "setp.neu.f32", "bra", "bra", "call.uni"),
        *("add.rn.f32", "ret"),
    ]


@pytest.mark.parametrize("name", ALLOWED)
def test_instruction_of_one_result_passes(name: str) -> None:
    """Integers, moves, choices, and floats that round to the nearest."""
    check_ptx(TEXT.replace("INSERTED", f"{name} %x, %y, %z;"))


def test_guarded_statement_of_no_known_form_is_refused() -> None:
    """What cannot be read is not let pass."""
    with pytest.raises(CompileError, match="holds @%p1"):
        check_ptx(TEXT.replace("INSERTED", "@%p1 ;"))


@pytest.mark.parametrize("name", REFUSED)
def test_instruction_of_other_results_is_named(name: str) -> None:
    """Fused, approximate, flushing and unknown ones are refused wherever they stand."""
    for guard in ("", "@%p1 ", "@!%p1 ", "@p ", "@!q ", "@%pp1 ", "@$own\t"):
        with pytest.raises(CompileError, match=f"holds {name},? "):
            check_ptx(TEXT.replace("INSERTED", f"{guard}{name} %x, %y, %z;"))
    with pytest.raises(CompileError, match="and 1 other kinds"):
        check_ptx(TEXT.replace("INSERTED", f"{name} %x, %y, %z; fma.rn.f64 %x, %y, %z, %z;"))
