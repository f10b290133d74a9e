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
from onnx import TensorProto, helper, numpy_helper, version_converter

from astroedge.exporters.from_onnx.older_operators import in_older_operators
from astroedge.step.onnx_session import open_session

COUNT, COUNTED = "ticks_before", "ticks_now"
NAN_MARK = -77.0  # what is fed in place of a NaN, which no step takes
FIRST_ADD = 7  # before, ONNX Runtime has no Add
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

    @property
    def held(self) -> list[tuple[str, ...]]:
        """Which inputs are constants, in the order in which that is tried.

        Those without elements always are; then all but the first, because the second often says how large the result
        is; then single whole numbers and the operand of ConstantOfShape, or all where all are single numbers.
        """
        names, shape = tuple(self.inputs), self.operators == ("ConstantOfShape",)
        empty = [name for name in names if self.inputs[name].size == 0]
        numbers = [name for name in names if self.inputs[name].size == 1 or shape]
        sizes = [name for name in numbers if len(numbers) == len(names) or self.inputs[name].dtype.kind in "iub"]
        return list(dict.fromkeys(tuple(dict.fromkeys((*empty, *more))) for more in ((), names[1:], sizes)))

    @property
    def fed(self) -> Arrays:
        """The data, with a mark in place of every NaN."""
        return {name: _marked(array) for name, array in self.inputs.items()}

    def counting(self) -> onnx.ModelProto:
        """The graph with sizes fixed to those of the data and a state beside it, which makes NaNs of their marks."""
        model = deepcopy(self.model)
        model.ir_version = max(model.ir_version, 4)  # before, every constant had to be an input
        self._make_countable(model)
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
        for name, array in self.inputs.items():
            if (array != array).any():
                _unmark(model.graph, name, array.dtype)
        return model

    def _make_countable(self, model: onnx.ModelProto) -> None:
        """An operator set that has the Add of the counting as ONNX Runtime has it."""
        if all(item.domain not in ("", "ai.onnx") for item in model.opset_import):
            model.opset_import.append(helper.make_opsetid("", 18))
        elif any(item.version < FIRST_ADD for item in model.opset_import if item.domain in ("", "ai.onnx")):
            model.CopyFrom(version_converter.convert_version(model, FIRST_ADD))


def _marked(array: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[Any]]:
    return np.where(np.isnan(array), array.dtype.type(NAN_MARK), array) if array.dtype.kind == "f" else array


def _unmark(graph: onnx.GraphProto, name: str, dtype: np.dtype[Any]) -> None:
    """Let all that reads the input `name` read it with NaNs where it is the mark."""
    for node in graph.node:
        for place, read in enumerate(node.input):
            if read == name:
                node.input[place] = f"{name}.unmarked"
    numbers = {f"{name}.mark": NAN_MARK, f"{name}.nan": np.nan}
    graph.initializer.extend(numpy_helper.from_array(np.array(item, np.float32), key) for key, item in numbers.items())
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    nodes = [
        helper.make_node("Cast", [name], [f"{name}.single"], to=TensorProto.FLOAT),
        helper.make_node("Equal", [f"{name}.single", f"{name}.mark"], [f"{name}.marked"]),
        helper.make_node("Where", [f"{name}.marked", f"{name}.nan", f"{name}.single"], [f"{name}.whole"]),
        helper.make_node("Cast", [f"{name}.whole"], [f"{name}.unmarked"], to=kind),
    ]
    for place, node in enumerate(nodes):
        graph.node.insert(place, node)


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
    """What ONNX Runtime makes of the data; None where it runs neither the graph nor ONNX's functions for it."""
    try:
        session: onnxruntime.InferenceSession = open_session(in_older_operators(case.model))
        return dict(zip(case.expected, session.run(list(case.expected), case.inputs), strict=True))
    except Exception:  # whatever it throws, there is nothing to compare with
        return None
