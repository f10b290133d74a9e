"""A step graph that is damaged, incomplete or contradicts its description is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from astroedge.errors import GraphError
from astroedge.step.graph import METADATA_KEY, StepGraph
from astroedge.step.spec import SpikeSpec, StateSpec, StepSpec, TensorSpec
from tests.support import graphs


def edited(graph: StepGraph, edit: Callable[[onnx.ModelProto], object], path: Path) -> Path:
    """A file of `graph` after another tool changed it."""
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    edit(model)
    path.write_bytes(model.SerializeToString())
    return path


def with_record(graph: StepGraph, change: Callable[[dict[str, object]], object], path: Path) -> Path:
    """A file of `graph` whose step description was changed."""

    def edit(model: onnx.ModelProto) -> None:
        entry = next(item for item in model.metadata_props if item.key == METADATA_KEY)
        record = json.loads(entry.value)
        change(record)
        entry.value = json.dumps(record)

    return edited(graph, edit, path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    """A path without a file names it."""
    with pytest.raises(GraphError, match=r"absent\.onnx"):
        StepGraph.load(tmp_path / "absent.onnx")


@pytest.mark.parametrize("content", [b"not onnx at all", b"", b"\x08\x0a"])
def test_something_else_than_a_step_graph_is_refused(content: bytes, tmp_path: Path) -> None:
    """Text, an empty file and an ONNX file without a step description are refused."""
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(GraphError, match=r"not an ONNX file|without a step description"):
        StepGraph.load(tmp_path / "net.onnx")


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    """A file that is cut short never loads, wherever it is cut."""
    graphs.lif_layer().save(tmp_path / "whole.onnx")
    content = (tmp_path / "whole.onnx").read_bytes()
    for length in range(0, len(content) - 1, len(content) // 17):
        (tmp_path / "cut.onnx").write_bytes(content[:length])
        with pytest.raises(GraphError):
            StepGraph.load(tmp_path / "cut.onnx")


def test_unknown_version_is_refused(tmp_path: Path) -> None:
    """A graph of a later format is not read as if it were this one."""
    path = with_record(graphs.swap(), lambda record: record.update(version=2), tmp_path / "net.onnx")
    with pytest.raises(GraphError, match="version 2"):
        StepGraph.load(path)


def test_damaged_description_is_refused(tmp_path: Path) -> None:
    """Metadata that is no JSON is a GraphError."""

    def damage(model: onnx.ModelProto) -> None:
        model.metadata_props[0].value = model.metadata_props[0].value[:-5]

    with pytest.raises(GraphError, match="not JSON"):
        StepGraph.load(edited(graphs.swap(), damage, tmp_path / "net.onnx"))


def test_state_without_next_is_refused(tmp_path: Path) -> None:
    """A state whose next output is gone is named."""
    path = edited(graphs.swap(), lambda model: model.graph.output.pop(), tmp_path / "net.onnx")
    with pytest.raises(GraphError, match=r"no output 'next\.b'"):
        StepGraph.load(path)


def test_output_without_state_is_refused(tmp_path: Path) -> None:
    """An output that the description doesn't know is named."""
    path = with_record(graphs.swap(), lambda record: record["states"].pop(), tmp_path / "net.onnx")  # type: ignore[attr-defined]
    with pytest.raises(GraphError, match=r"'state\.b' is not in its step description"):
        StepGraph.load(path)


def test_pair_of_different_shapes_is_refused(tmp_path: Path) -> None:
    """A next value with another shape than its state is refused, with both shapes."""

    def widen(model: onnx.ModelProto) -> None:
        model.graph.output[1].type.tensor_type.shape.dim[1].dim_value = 6

    with pytest.raises(GraphError, match=r"'next\.a' is float32 \[1, 6\].*float32 \[1, 5\]"):
        StepGraph.load(edited(graphs.swap(), widen, tmp_path / "net.onnx"))


def test_pair_of_different_dtypes_is_refused(tmp_path: Path) -> None:
    """A next value with another dtype than its state is refused."""

    def retype(model: onnx.ModelProto) -> None:
        model.graph.output[1].type.tensor_type.elem_type = TensorProto.FLOAT16

    with pytest.raises(GraphError, match="float16"):
        StepGraph.load(edited(graphs.swap(), retype, tmp_path / "net.onnx"))


def test_shape_that_the_nodes_do_not_give_is_refused(tmp_path: Path) -> None:
    """Declared shapes are checked against what the operators compute, not against each other only."""

    def shrink(model: onnx.ModelProto) -> None:
        weights = next(tensor for tensor in model.graph.initializer if tensor.name == "W")
        weights.CopyFrom(numpy_helper.from_array(np.zeros((24, 39), np.float32), "W"))

    with pytest.raises(GraphError, match="not valid ONNX"):
        StepGraph.load(edited(graphs.lif_layer(), shrink, tmp_path / "net.onnx"))


def test_swapped_order_of_states_is_refused(tmp_path: Path) -> None:
    """States pair by position, so outputs in another order than inputs are refused."""

    def swap(model: onnx.ModelProto) -> None:
        first, second = model.graph.output[1], model.graph.output[2]
        first.name, second.name = second.name, first.name

    with pytest.raises(GraphError, match="out of order"):
        StepGraph.load(edited(graphs.swap(), swap, tmp_path / "net.onnx"))


def test_open_dimension_is_refused(tmp_path: Path) -> None:
    """A graph whose batch is a symbol is refused: a step has fixed shapes."""

    def open_batch(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"

    with pytest.raises(GraphError, match="'x'"):
        StepGraph.load(edited(graphs.swap(), open_batch, tmp_path / "net.onnx"))


def test_unread_state_is_refused() -> None:
    """A state that is written but never read is an error with its name."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1,), "float32"),),
        outputs=(TensorSpec("y", (1,), "float32"),),
        states=(StateSpec("v", (1,), "float32"),),
    )
    nodes = [helper.make_node("Identity", ["x"], ["y"]), helper.make_node("Identity", ["x"], ["next.v"])]
    with pytest.raises(GraphError, match=r"'v' is never read"):
        graphs.build("unread", spec, nodes)


def test_state_read_only_by_dead_nodes_counts_as_unread() -> None:
    """Reading a state for a value that nothing uses does not make it state."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1,), "float32"),),
        outputs=(TensorSpec("y", (1,), "float32"),),
        states=(StateSpec("v", (1,), "float32"),),
    )
    nodes = [
        helper.make_node("Neg", ["state.v"], ["unused"]),
        helper.make_node("Identity", ["x"], ["y"]),
        helper.make_node("Identity", ["x"], ["next.v"]),
    ]
    with pytest.raises(GraphError, match=r"'v' is never read"):
        graphs.build("dead", spec, nodes)


def test_missing_initial_tensor_is_refused(tmp_path: Path) -> None:
    """A stored initial value that is gone is named."""

    def drop(model: onnx.ModelProto) -> None:
        kept = [tensor for tensor in model.graph.initializer if not tensor.name.startswith("initial.")]
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)

    with pytest.raises(GraphError, match=r"initial\.gain"):
        StepGraph.load(edited(graphs.identity_next(), drop, tmp_path / "net.onnx"))


@pytest.mark.parametrize("spare", [-4, 4])
def test_weights_of_another_size_than_their_shape_are_refused(spare: int, tmp_path: Path) -> None:
    """A matrix that holds fewer or more bytes than its shape asks for is refused by name."""

    def damage(model: onnx.ModelProto) -> None:
        large = next(tensor for tensor in model.graph.initializer if len(tensor.raw_data) > 2000)
        large.raw_data = bytes(len(large.raw_data) + spare)

    with pytest.raises(GraphError, match=r"does not hold .* \(it needs \d+ bytes and has \d+\)"):
        StepGraph.load(edited(graphs.lif_layer(), damage, tmp_path / "net.onnx"))


@pytest.mark.parametrize(("dtype", "initial"), [("int32", 0.5), ("int8", 300.0), ("bool", 2.0), ("float16", 1e30)])
def test_initial_value_that_the_dtype_cannot_hold_is_refused(dtype: str, initial: float) -> None:
    """A fill is exact in its state's dtype or refused."""
    spec = StepSpec(
        inputs=(),
        outputs=(TensorSpec("y", (1,), dtype),),
        states=(StateSpec("v", (1,), dtype, initial=initial),),
    )
    nodes = [helper.make_node("Identity", ["state.v"], [name]) for name in ("y", "next.v")]
    with pytest.raises(GraphError, match="cannot hold"):
        graphs.build("fill", spec, nodes)


@pytest.mark.parametrize("initial", [float("inf"), float("nan"), -1e30])
def test_unusual_initial_values_are_kept(initial: float) -> None:
    """Infinity, NaN and RWKV's −1e30 are initial values like any other."""
    spec = StepSpec(
        inputs=(),
        outputs=(TensorSpec("y", (2,), "float32"),),
        states=(StateSpec("v", (2,), "float32", initial=initial),),
    )
    nodes = [helper.make_node("Identity", ["state.v"], [name]) for name in ("y", "next.v")]
    value = graphs.build("fill", spec, nodes).initial_state()["v"]
    assert np.array_equal(value, np.full(2, initial, np.float32), equal_nan=True)


def test_unknown_spike_tensor_is_refused() -> None:
    """A spike tensor that the graph lacks is named."""
    graph = graphs.lif_layer()
    spec = replace(graph.spec, spikes=(SpikeSpec("lif.spike", "nowhere", (1, 40), 0.1),))
    with pytest.raises(GraphError, match="'nowhere'"):
        StepGraph(graph.model, spec)


@pytest.mark.parametrize("name", ["state.x", "next.x", "initial.x"])
def test_data_named_like_a_state_is_refused(name: str) -> None:
    """The prefixes of states are reserved."""
    spec = StepSpec(inputs=(TensorSpec(name, (1,), "float32"),), outputs=(TensorSpec("y", (1,), "float32"),), states=())
    with pytest.raises(GraphError, match="named like a state"):
        graphs.build("prefix", spec, [helper.make_node("Identity", [name], ["y"])])
