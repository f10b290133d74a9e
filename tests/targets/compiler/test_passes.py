"""The lists of passes are in order, say what they do, and are on their page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

import pytest
from onnx import TensorProto, helper

from astroedge.errors import CompileError
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StepSpec, TensorSpec
from astroedge.targets import compile_step
from astroedge.targets.boards.target import resolve_target, tvm_target
from astroedge.targets.compile_request import CompileRequest
from astroedge.targets.compiler.compilation import Compilation
from astroedge.targets.compiler.device_passes import DEVICE_FACTS, DEVICE_PASSES, tables
from astroedge.targets.compiler.emit.lower_kernel import KERNEL_FACTS, KERNEL_PASSES
from astroedge.targets.compiler.emit.lower_module import MODULE_FACTS, MODULE_PASSES
from astroedge.targets.compiler.emit.native_kernels import NativeKernels
from astroedge.targets.compiler.passes import FACTS, PASSES
from astroedge.targets.pass_list import Pass, check_passes
from astroedge.targets.precision.quantise_weights import StoredWeights
from tests.support import graphs
from tests.support.places import DOCS, ROOT

LISTS = [
    pytest.param(PASSES, FACTS, id="step"),
    pytest.param(DEVICE_PASSES, DEVICE_FACTS, id="device"),
    pytest.param(KERNEL_PASSES, KERNEL_FACTS, id="kernel"),
    pytest.param(MODULE_PASSES, MODULE_FACTS, id="module"),
]
MADE = [item.name for item in fields(Compilation) if not item.init]
each_list = pytest.mark.parametrize(("passes", "facts"), LISTS)


@each_list
def test_everything_required_is_ensured_before(passes: Sequence[Pass[object]], facts: Mapping[str, str]) -> None:
    """No pass of a list requires what only a later pass ensures."""
    check_passes(passes)


@each_list
def test_every_fact_is_described(passes: Sequence[Pass[object]], facts: Mapping[str, str]) -> None:
    """The facts that passes name are those that have a meaning, and each is ensured by one pass."""
    ensured = [fact for item in passes for fact in item.ensures]
    assert sorted(ensured) == sorted(facts)


@each_list
def test_every_pass_is_somewhere(passes: Sequence[Pass[object]], facts: Mapping[str, str]) -> None:
    """Names differ, a pass of our own has a file, and each says what it does in a sentence."""
    assert len({item.name for item in passes}) == len(passes)
    for item in passes:
        assert item.file == "TVM" or (ROOT / item.file).is_file()
        assert item.what.endswith((".", "!"))


def test_facts_of_the_step_speak_of_its_fields() -> None:
    """Whatever a pass over the step ensures is true of a field of the state, and no field is left out."""
    assert {fact.partition(".")[0] for fact in (*FACTS, *DEVICE_FACTS)} == set(MADE)


@pytest.mark.compiles
@pytest.mark.parametrize("probes", [False, True])
def test_every_pass_fills_the_fields_it_declares(probes: bool) -> None:
    """A field appears with the pass that ensures it, and not before."""
    target = resolve_target("x86-64-v3")
    request = CompileRequest(graphs.recurrent_net(), target, "exact", "auto", probes, StoredWeights())
    native = tvm_target(target)
    state = Compilation(request, native, NativeKernels(native, request.math))
    expected: set[str] = set()
    with state.native:
        for item in PASSES:
            item.run(state)
            expected |= {fact for fact in item.ensures if fact in MADE}
            assert {name for name in MADE if hasattr(state, name)} == expected, item.name
    assert expected == set(MADE) & set(FACTS)


def test_products_are_fenced_last() -> None:
    """Moved before anything that changes arithmetic, or behind what chooses instructions, the fence is refused."""
    place = next(index for index, item in enumerate(MODULE_PASSES) if item.name == "fence_products")
    others = [item for item in MODULE_PASSES if item.name != "fence_products"]
    behind = [item.name for item in others[place:]]
    assert behind == ["widen_fences", "LowerTVMBuiltin", "LowerIntrin", "store_floats"]
    for index in (*range(place), len(others)):
        moved = [*others[:index], MODULE_PASSES[place], *others[index:]]
        with pytest.raises(CompileError, match=r"fence_products|module\.fenced"):
            check_passes(moved)


def test_failing_graph_names_the_pass() -> None:
    """A graph on which TVM fails says in which pass, after which ones, and what to do; the command line shows it so."""
    with pytest.raises(CompileError) as caught:
        compile_step(
            _as_long_as_it_fires(), resolve_target("raspberry-pi-4"), math="exact", kernels="auto", probes=False
        )
    text = str(caught.value)
    assert text.startswith(
        "Compiling the step graph 'length' for raspberry-pi-4 failed in the pass 'legalize' "
        "(after import_graph, find_sparsity): "
    )
    assert text.endswith("Simplify that part of the model, or report it with the graph.")
    assert "\n" not in text
    assert not isinstance(caught.value.__cause__, CompileError)


def _as_long_as_it_fires() -> StepGraph:
    """A step in which the number of rows depends on the input, which no pass knows beforehand."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (4, 8), "float32"),), outputs=(TensorSpec("y", (1, 1), "float32"),), states=()
    )
    nodes = [
        helper.make_node("NonZero", ["x"], ["places"]),
        helper.make_node("ReduceSum", ["places"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["y"], to=TensorProto.FLOAT),
    ]
    return graphs.build("length", spec, nodes)


def test_page_shows_the_passes() -> None:
    """docs/passes.md holds what the code prints."""
    page = (DOCS / "passes.md").read_text(encoding="utf-8")
    begin = "<!-- printed by python -m astroedge.targets.compiler.device_passes -->\n"
    assert page.partition(begin)[2].partition("<!-- until here -->")[0] == tables()
