"""Every operator of the table, in its plainest form: what compile carries is right, what it does not is refused."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
import tvm_ffi
from tvm import tirx

from astroedge.errors import UnsupportedOpError
from astroedge.runtimes import load
from astroedge.runtimes.checking.reference import ReferenceSession
from astroedge.step.operator_table import CONSTANT
from astroedge.step.operators import OPERATORS, operators
from astroedge.targets.compiler.lower.find_sparsity import find_sparsity
from astroedge.targets.compiler.lower.import_graph import import_graph
from astroedge.targets.compiler.lower.legalize import legalize
from astroedge.targets.exact import exact_math
from astroedge.targets.precision.quantise_weights import StoredWeights
from astroedge.targets.tir_builder import KERNEL_ATTRIBUTE
from tests.support.builds import build
from tests.support.operator_steps import FORMS, data_of, step_of

NAMED = sorted(operators(lambda row: not row.imported or bool(row.inexact_functions)) & FORMS.keys())
CARRIED = sorted(FORMS.keys() - set(NAMED))
FUNCTIONS_OF_KERNELS = {"softmax": {"exp"}, "log_softmax": {"exp", "log"}, "layer_norm": {"rsqrt"}}
# Nothing to run: no data reaches them, or they hold what is no tensor.
WITHOUT_FORM = operators(lambda row: row.limits == CONSTANT) | {"Constant"}


def test_every_operator_of_the_table_is_tried() -> None:
    """What has no form here is refused at export, has no importer, or is computed at export alone."""
    refused = operators(lambda row: bool(row.refused) or not row.imported)
    assert OPERATORS.keys() - FORMS.keys() - refused <= WITHOUT_FORM


def _called(function: tvm.ir.BaseFunc) -> set[str]:
    """The operators that a lowered function calls; a kernel of our own computes its functions at once."""
    if not isinstance(function, tirx.PrimFunc):
        return set()
    if KERNEL_ATTRIBUTE in function.attrs:
        return FUNCTIONS_OF_KERNELS.get(str(function.attrs[KERNEL_ATTRIBUTE]), set())
    called: set[str] = set()
    tvm_ffi.structural_walk(function.body, (tvm.ir.Call, lambda call: called.add(call.op.name)))
    return called


@pytest.mark.parametrize("name", CARRIED)
def test_carried_operator_gives_what_onnx_runtime_gives(name: str) -> None:
    """Results of an exact operator are equal, but for those of its functions; of others, to a few last places."""
    row, graph, x = OPERATORS[name], step_of(name), data_of(name)
    expected = ReferenceSession(graph).run(x=x)["y"]
    with load(build(graph)) as session:
        given = session.run(x=x)["y"]
    assert given.dtype == expected.dtype
    if row.rounding == "exact" and not row.functions:
        np.testing.assert_array_equal(given, expected)
    else:
        np.testing.assert_allclose(given, expected, rtol=0, atol=1e-6 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("name", CARRIED)
def test_functions_are_those_of_the_table(name: str) -> None:
    """What the lowered step calls of the functions with an exact form is what the table says."""
    graph = step_of(name)
    step = import_graph(graph, probes=False)
    module, _ = legalize(step, find_sparsity(step, graph), StoredWeights())
    called = {name.removeprefix("tirx.") for function in module.functions.values() for name in _called(function)}
    assert called & exact_math.UNARY.keys() == set(OPERATORS[name].functions)


@pytest.mark.parametrize("name", NAMED)
def test_operator_that_no_bundle_holds_is_refused_by_name(name: str) -> None:
    """Whatever its form, compile names the operator before TVM sees it."""
    with pytest.raises(UnsupportedOpError, match=rf"^The step uses {name}, .*(no importer|no exact kernel)"):
        build(step_of(name))


@pytest.mark.parametrize("name", ["DynamicQuantizeLinear", "QuantizeLinear"])
def test_quantising_rounds_halves_to_even(name: str) -> None:
    """Numbers halfway between two integers become ONNX Runtime's integer."""
    graph = step_of(name)
    x = (np.round(data_of(name) * 4) / 4).astype(np.float32)
    with load(build(graph)) as session:
        np.testing.assert_array_equal(session.run(x=x)["y"], ReferenceSession(graph).run(x=x)["y"])
