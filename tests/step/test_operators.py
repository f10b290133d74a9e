"""The table of operators is complete, and true to ONNX, TVM's importer and the kernels; export reads it and compile."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tvm.relax.frontend.onnx import onnx_frontend

import astroedge
from astroedge.errors import UnsupportedOpError
from astroedge.exporters.from_onnx.recurrent_call import GATES
from astroedge.exporters.graph.clean_graph import clean_graph
from astroedge.step.operator_facts import FUNCTION_ERRORS
from astroedge.step.operator_table import ROWS
from astroedge.step.operators import OPERATORS, operator, operators, relax_operators
from astroedge.targets.compiler.expand.expand_operators import RULES
from astroedge.targets.compiler.lower.import_graph import import_graph
from astroedge.targets.compiler.lower.own_importers import CONVERTERS
from astroedge.targets.exact import exact_math
from tests.support.builds import build
from tests.support.foreign_onnx import model_of, value
from tests.support.kernels.true_math import FUNCTIONS
from tests.support.operator_steps import FORMS, step_of
from tests.support.places import DOCS, ROOT

REFUSED = sorted(operators(lambda row: bool(row.refused)))
# The forms that show these are of one axis, or of several operands: a Relax name each.
RELAXED = sorted(operators(lambda row: bool(row.relax)) & FORMS.keys())


def test_table_holds_every_operator_of_onnx_once() -> None:
    """Each operator that this ONNX defines and has not withdrawn has one row, and the rows are sorted by name."""
    schemas = [onnx.defs.get_schema(schema.name) for schema in onnx.defs.get_all_schemas() if schema.domain == ""]
    names = [row.name for row in ROWS]
    assert names == sorted({schema.name for schema in schemas if not schema.deprecated})


def test_importers_are_those_of_tvm() -> None:
    """The table says of every operator whether TVM imports it or a rule of ours writes it in others."""
    known, written = onnx_frontend._get_convert_map().keys() | CONVERTERS.keys(), RULES.keys()
    assert operators(lambda row: row.imported) == OPERATORS.keys() & (known | written)


def test_functions_are_those_of_the_kernels() -> None:
    """Each function with an error bound is one of exact_math, which documents that bound and is tested for it."""
    assert all(callable(getattr(exact_math, function)) for function in FUNCTION_ERRORS)
    assert FUNCTION_ERRORS.keys() >= exact_math.UNARY.keys()
    assert FUNCTIONS.keys() == FUNCTION_ERRORS.keys()
    documented = re.findall(r"^\| ([a-z0-9, ]+) \| ([\d.]+) \|", str(exact_math.__doc__), re.MULTILINE)
    assert documented
    for names, bound in documented:
        assert {FUNCTION_ERRORS[name] for name in names.split(", ")} == {float(bound)}


def test_the_page_of_exactness_has_a_row_for_every_function() -> None:
    """Each function with its bound, measured over all float32 numbers."""
    page = (ROOT / "docs" / "exactness.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([a-z0-9]+) \| ([\d.]+) \| ([\d.]+) \|", page, re.MULTILINE)
    assert {name: float(bound) for name, bound, _ in rows} == FUNCTION_ERRORS
    assert all(float(largest) <= float(bound) for _, bound, largest in rows)


@pytest.mark.parametrize("name", RELAXED)
def test_relax_names_are_what_the_importer_makes(name: str) -> None:
    """The imported form of an operator calls the Relax operator that the compiler will look for."""
    step = import_graph(step_of(name), probes=False)
    bindings = [binding for block in step.module["main"].body.blocks for binding in block.bindings]
    called = {binding.value.op.name for binding in bindings if hasattr(binding.value, "op")}
    assert called & relax_operators(lambda row: row.name == name)


@pytest.mark.parametrize("name", REFUSED)
def test_export_refuses_what_no_step_graph_can_hold(name: str) -> None:
    """Control flow, randomness, varying sizes and recurrence are an error with the operator's name and its cure."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph([onnx.NodeProto(op_type=name, input=["x"], output=["y"])], "g", [value], [value])
    with pytest.raises(UnsupportedOpError, match=f"uses {name}, which a step graph cannot hold") as caught:
        clean_graph(helper.make_model(graph), "net", [])
    assert str(caught.value).endswith(f"; {OPERATORS[name].cure}.")


def test_recurrent_operators_are_those_that_import_expands() -> None:
    """Every operator that is refused as recurrent is one that export_onnx writes out before."""
    assert operators(lambda row: row.refused == "recurrence") == GATES.keys()


def test_unknown_operator_is_left_to_the_importer() -> None:
    """Of an operator that the table lacks nothing is taken for granted: it may stand in a graph and counts as dense."""
    row = operator("OfTomorrow")
    assert (row.name, row.refused, row.imported, row.sparsity, row.bound) == ("OfTomorrow", "", True, "", "")


def test_export_notes_what_compile_will_refuse() -> None:
    """The graph is exported, for ONNX Runtime; the note and the refusal name the operator."""
    words = helper.make_node(
        "TfIdfVectorizer", ["x"], ["found"], mode="TF", min_gram_length=1, max_gram_length=1,
        max_skip_count=0, ngram_counts=[0], ngram_indexes=[0, 1, 2], pool_int64s=[0, 1, 2],
    )  # fmt: skip
    inputs = [value("x", [5], TensorProto.INT64), value("v", [3])]
    model = model_of([words, helper.make_node("Add", ["v", "found"], ["w"])], inputs, [value("w", [3])])
    examples = [{"x": np.arange(5) % 3}] * 2
    graph = astroedge.export_onnx(model, {"v": "w"}, examples=examples)
    assert any("uses TfIdfVectorizer" in note and "compile will refuse" in note for note in graph.notes)
    with pytest.raises(UnsupportedOpError, match=r"^The step uses TfIdfVectorizer, .*no importer") as caught:
        build(graph)
    assert "\n" not in str(caught.value)


def test_page_is_what_the_code_prints() -> None:
    """docs/operators.md holds the table as `python -m astroedge.step.operator_page` prints it today."""
    page = (DOCS / "operators.md").read_text(encoding="utf-8")
    marked = page.partition("<!-- printed by python -m astroedge.step.operator_page -->\n")[2]
    command = [sys.executable, "-m", "astroedge.step.operator_page"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert marked.partition("<!-- until here -->")[0] == printed
