"""ONNX files and their data that never end, or say of themselves what is not so: one line each."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from astroedge.errors import ExportError, GraphError
from astroedge.exporters.export_onnx import export_onnx
from astroedge.step.graph import METADATA_KEY, StepGraph
from tests.support import foreign_onnx
from tests.support.graphs import recurrent_net


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A step graph with the data of one tensor beside it."""
    recurrent_net().save(tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    tensor = max(model.graph.initializer, key=lambda item: len(item.raw_data))
    (tmp_path / "data.bin").write_bytes(tensor.raw_data)
    _point(tensor, {"location": "data.bin", "offset": "0", "length": str(len(tensor.raw_data))})
    onnx.save(model, tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def _point(tensor: onnx.TensorProto, entries: dict[str, str]) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)


def test_data_beside_the_graph_is_read(graph: Path) -> None:
    """What is right is taken."""
    plain = StepGraph.load(graph).model
    assert all(np.array_equal(*map(numpy_helper.to_array, pair)) for pair in zip(
        plain.graph.initializer, recurrent_net().model.graph.initializer, strict=True
    ))  # fmt: skip


@pytest.mark.parametrize("old", [b"recurrent_net", b"MatMul", METADATA_KEY.encode(), b"firing_rate"])
def test_texts_that_are_no_utf8_are_one_line(tmp_path: Path, old: bytes) -> None:
    """In a name, in an operator, in the step description and in its key."""
    content = recurrent_net().model.SerializeToString()
    assert old in content
    (tmp_path / "net.onnx").write_bytes(content.replace(old, b"\xff" + old[1:]))
    with pytest.raises(GraphError, match="no UTF-8"):
        StepGraph.load(tmp_path / "net.onnx")


@pytest.mark.parametrize("change", [{"raw_data": b"abc"}, {"dims": [2**40]}, {"dims": [-1]}, {"data_type": 99}])
def test_a_tensor_that_is_not_what_it_says_is_one_line(tmp_path: Path, change: dict[str, Any]) -> None:
    """Of data that are too short, of a shape and of a dtype that they do not have."""
    model = recurrent_net().model
    tensor = model.graph.initializer[0]
    for name, value in change.items():
        tensor.ClearField(name)
        getattr(tensor, name).extend(value) if isinstance(value, list) else setattr(tensor, name, value)
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(GraphError, match="does not hold what its shape and type say"):
        StepGraph.load(tmp_path / "net.onnx")


@pytest.mark.parametrize("name", ["data.bin", "net.onnx"])
def test_a_fifo_is_not_waited_for(graph: Path, name: str) -> None:
    """Nobody writes into it, and nobody waits."""
    (graph.parent / name).unlink()
    os.mkfifo(graph.parent / name)
    with pytest.raises(GraphError, match="no regular file"):
        StepGraph.load(graph)


def test_a_device_is_not_read_for_ever() -> None:
    """/dev/zero is no graph."""
    with pytest.raises(GraphError, match="no regular file"):
        StepGraph.load("/dev/zero")


def test_no_more_is_read_than_a_tensor_holds(graph: Path) -> None:
    """A file of a terabyte of nothing costs nothing, and a length that is not the tensor's is refused."""
    os.truncate(graph.parent / "data.bin", 2**40)
    StepGraph.load(graph)
    model = onnx.load(graph, load_external_data=False)
    tensor = next(item for item in model.graph.initializer if item.external_data)
    _point(tensor, {"location": "data.bin", "length": str(2**36)})
    onnx.save(model, graph)
    with pytest.raises(GraphError, match=f"and {2**36} by its entry"):
        StepGraph.load(graph)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 5000, "nested too deeply|not JSON"),
        ('{"version": 1, "version": 1}', "stands twice"),
        ('{"version": 1, "inputs": 3}', "has no 'outputs'"),
        ('{"version": 1, "inputs": [], "outputs": [], "states": [{"name": 3}], "spikes": [], "source": {}}', "has no"),
        ("NaN", "NaN"),
        ("7", "version None"),
    ],
)
def test_damaged_descriptions_are_one_line(tmp_path: Path, text: str, said: str) -> None:
    """Whatever stands where the step description should be."""
    model = recurrent_net().model
    entry = next(item for item in model.metadata_props if item.key == METADATA_KEY)
    entry.value = text
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(GraphError, match=said) as caught:
        StepGraph.load(tmp_path / "net.onnx")
    assert str(caught.value).isprintable()


def test_wrong_types_at_any_place_of_a_description_are_one_line(tmp_path: Path) -> None:
    """A text, a number, nothing or a list in place of each value."""
    model = recurrent_net().model
    entry = next(item for item in model.metadata_props if item.key == METADATA_KEY)
    record = json.loads(entry.value)
    for name in record:
        for value in (None, 7, "x", [], {}, [None], [[]], {"x": {}}):
            if value == record[name]:
                continue
            entry.value = json.dumps(record | {name: value})
            onnx.save(model, tmp_path / "net.onnx")
            try:
                StepGraph.load(tmp_path / "net.onnx")
            except GraphError as error:
                said = str(error)
            else:
                said = ""
            assert said.isprintable()
            assert said or name in ("source", "spikes"), (name, value)


def test_a_tensor_in_segments_is_one_line(tmp_path: Path) -> None:
    """ONNX names them and reads none: with data or without, the tensor is refused by its name."""
    model = recurrent_net().model
    tensor = model.graph.initializer[0]
    tensor.segment.begin = 0
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(GraphError, match=f"Tensor '{tensor.name}' is stored in segments"):
        StepGraph.load(tmp_path / "net.onnx")


@pytest.mark.parametrize(("number", "name"), [(255, "type 255"), (9999, "type 9999"), (8, "object"), (0, "undefined")])
def test_element_types_that_are_none_are_one_line(tmp_path: Path, number: int, name: str) -> None:
    """An input whose type no step carries, be it one of ONNX or a number without a name, here and in foreign graphs."""
    model = recurrent_net().model
    model.graph.input[0].type.tensor_type.elem_type = number
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(GraphError, match=name):
        StepGraph.load(tmp_path / "net.onnx")
    foreign = foreign_onnx.model_of(
        [helper.make_node("Add", ["x", "h"], ["y"])],
        [foreign_onnx.value("x", [1]), foreign_onnx.value("h", [1])],
        [foreign_onnx.value("y", [1])],
    )
    foreign.graph.input[0].type.tensor_type.elem_type = number
    with pytest.raises(ExportError, match=name):
        export_onnx(foreign, {"h": "y"})
