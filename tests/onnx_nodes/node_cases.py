"""ONNX's own backend tests of single operators, each made a step by a state that counts the ticks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from astroedge.step.onnx_session import open_session

COUNT, COUNTED = "ticks_before", "ticks_now"
Arrays = dict[str, np.ndarray[Any, np.dtype[Any]]]


@dataclass(frozen=True)
class NodeCase:
    """One test: a graph, the data to feed, and what comes out by ONNX's documents, to `rtol` and `atol`."""

    name: str
    model: onnx.ModelProto
    inputs: Arrays
    expected: Arrays
    rtol: float
    atol: float

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators of the graph, in order, each once."""
        return tuple(dict.fromkeys(node.op_type for node in self.model.graph.node))

    def counting(self) -> onnx.ModelProto:
        """The graph with sizes fixed to those of the data and a state beside it."""
        model = deepcopy(self.model)
        model.ir_version = max(model.ir_version, 4)  # before, every constant had to be an input
        if all(item.domain not in ("", "ai.onnx") for item in model.opset_import):
            model.opset_import.append(helper.make_opsetid("", 18))  # for the counting
        for value in model.graph.input:
            shape = value.type.tensor_type.shape
            shape.CopyFrom(onnx.TensorShapeProto())
            for extent in self.inputs[value.name].shape:
                shape.dim.add(dim_value=extent)
        one = helper.make_tensor("ticks_step", TensorProto.FLOAT, [1], [1.0])
        model.graph.node.append(helper.make_node("Constant", [], [one.name], value=one))
        model.graph.input.append(helper.make_tensor_value_info(COUNT, TensorProto.FLOAT, [1]))
        model.graph.node.append(helper.make_node("Add", [COUNT, one.name], [COUNTED]))
        model.graph.output.append(helper.make_tensor_value_info(COUNTED, TensorProto.FLOAT, [1]))
        return model


def node_cases(words: list[str]) -> Iterator[NodeCase]:
    """The tests that ONNX Runtime runs and whose names hold one of `words`, all without; those of tensors alone."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numbers that overflow on purpose
        tests = load_model_tests(kind="node")
    for test in tests:
        if words and not any(word in test.name for word in words):
            continue
        inputs, outputs = ([_array(item) for item in items] for items in test.data_sets[0])
        if any(item is None for item in (*inputs, *outputs)):
            continue
        graph = test.model.graph
        case = NodeCase(
            test.name.removeprefix("test_"),
            test.model,
            dict(zip((value.name for value in graph.input), inputs, strict=True)),
            dict(zip((value.name for value in graph.output), outputs, strict=True)),
            test.rtol,
            test.atol,
        )
        if reference(case) is not None:
            yield case


def _array(item: object) -> np.ndarray[Any, np.dtype[Any]] | None:
    """A tensor of numbers that NumPy knows; None for a sequence, text or another kind of number."""
    array = np.asarray(item) if isinstance(item, np.ndarray | np.generic) else None
    return array if array is not None and array.dtype.kind in "biuf" else None


def reference(case: NodeCase) -> Arrays | None:
    """What ONNX Runtime makes of the data; None where it does not run the graph."""
    try:
        session: onnxruntime.InferenceSession = open_session(case.model)
        return dict(zip(case.expected, session.run(list(case.expected), case.inputs), strict=True))
    except Exception:  # whatever it throws, there is nothing to compare with
        return None
