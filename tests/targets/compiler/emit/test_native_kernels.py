"""Kernels that several builds of a step call are compiled once, and what calls them computes the same."""

from __future__ import annotations

import pytest
from tvm import tirx

from astroedge.bundle.container import Bundle
from astroedge.runtimes import load
from astroedge.runtimes.checking.golden import draw_inputs
from astroedge.targets import compile_step, link_bundle
from astroedge.targets.boards.target import resolve_target, tvm_target
from astroedge.targets.compiler.emit import build_object
from astroedge.targets.compiler.emit.native_kernels import NativeKernels
from astroedge.targets.compiler.pipeline import CompiledStep
from astroedge.targets.tir_builder import kernel, store
from astroedge.targets.tir_builder import load as load_vector
from tests.support import elf, graphs
from tests.support.builds import digest

TICKS = 20


def _doubled(lanes: int, array: str = "x") -> tirx.PrimFunc:
    """y = x + x, as one vector."""
    with kernel("doubled") as built:
        x = built.argument(array, (lanes,), "float32")
        y = built.argument("y", (lanes,), "float32")
        value = load_vector(x, tirx.const(0, "int32"), lanes)
        store(y, tirx.const(0, "int32"), lanes, value + value)
    return built.function


def test_equal_kernels_are_one_function_in_one_object() -> None:
    """A kernel keeps its name however often it is called, and each object holds what no earlier one does."""
    kernels = NativeKernels(tvm_target(resolve_target("native")), "exact")
    first = kernels.name("doubled", _doubled(4))
    assert kernels.name("doubled", _doubled(4, "other_name")) == first
    before = kernels.compile()
    assert len(before) == 1
    assert kernels.compile() == before
    second = kernels.name("doubled", _doubled(8))
    assert second.name_hint != first.name_hint
    assert kernels.name("doubled", _doubled(4)) == first
    after = kernels.compile()
    assert after[:1] == before
    assert [first.name_hint.encode() in code for code in after] == [True, False]
    assert [second.name_hint.encode() in code for code in after] == [False, True]


def _compiled(board: str = "native", beside: CompiledStep | None = None) -> CompiledStep:
    target, probes = resolve_target(board), beside is not None
    return compile_step(graphs.recurrent_net(), target, math="exact", kernels="auto", probes=probes, beside=beside)


def _digests(bundle: Bundle, outputs: list[str]) -> list[str]:
    with load(bundle) as session:
        given = session.run(**draw_inputs(session.manifest.layout.inputs, 0, 0, TICKS))
        return [digest(given[name]) for name in outputs] + [digest(session.state)]


def test_kernels_apart_compute_what_kernels_inside_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step whose kernels lie in other objects, and the build with probes beside it, have the bits of a small one.

    The library, one for ARM too, needs nothing from outside and shows no kernel.
    """
    target, names = resolve_target("native"), [item.name for item in graphs.recurrent_net().spec.outputs]
    inside = _compiled()
    assert inside.kernel_code == ()
    monkeypatch.setattr(build_object, "FEW_CALLS", 0)
    apart = _compiled()
    shown = _compiled(beside=apart)
    assert len(apart.kernel_code) == 1
    assert shown.kernel_code[:1] == apart.kernel_code
    bundles = [link_bundle(step, target) for step in (inside, apart, shown)]
    expected, *others = (_digests(bundle, names) for bundle in bundles)
    assert others == [expected, expected]
    bundles.append(link_bundle(_compiled("raspberry-pi-4"), resolve_target("raspberry-pi-4")))
    first, *rest = (elf.dynamic_symbols(bundle.library()) for bundle in bundles)
    assert rest == [first, first, first]
