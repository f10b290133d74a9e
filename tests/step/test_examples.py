"""Example inputs travel inside a graph's file, as many as it can hold, and damaged ones are refused in a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from astroedge.errors import GraphError
from astroedge.step.examples import LEAST_TICKS, MOST_BYTES, MOST_TICKS, PREFIX
from astroedge.step.graph import StepGraph
from tests.support.graphs import Ticks, lif_layer, open_in_runtime, random_inputs, token_net


def ticks_of(graph: StepGraph, count: int) -> list[Ticks]:
    """Inputs of so many ticks, one dict each."""
    data = random_inputs(graph, count)
    return [{name: array[tick] for name, array in data.items()} for tick in range(count)]


@pytest.mark.parametrize("builder", [lif_layer, token_net], ids=["spikes", "tokens"])
def test_examples_come_back_as_they_were(builder: type[StepGraph], tmp_path: Path) -> None:
    """Every input of every tick is read back bit for bit, from one file that ONNX Runtime opens."""
    graph = builder()
    graph.hold_examples(ticks_of(graph, 300))
    graph.save(tmp_path / "net.onnx")
    loaded = StepGraph.load(tmp_path / "net.onnx")
    assert loaded.digest == graph.digest
    data = random_inputs(graph, 300)
    assert loaded.examples.keys() == data.keys()
    for name, array in loaded.examples.items():
        assert (array.dtype, array.tobytes()) == (data[name].dtype, data[name].tobytes())
    open_in_runtime(loaded)


def test_too_few_examples_are_none() -> None:
    """Less than 256 ticks leave the file as it is, and take away those that were there."""
    graph = lif_layer()
    plain = graph.digest
    graph.hold_examples(ticks_of(graph, LEAST_TICKS - 1))
    assert (graph.digest, graph.examples) == (plain, {})
    graph.hold_examples(ticks_of(graph, LEAST_TICKS))
    assert {len(array) for array in graph.examples.values()} == {LEAST_TICKS}
    graph.hold_examples([])
    assert graph.digest == plain


def test_many_or_large_examples_are_cut() -> None:
    """The first 4,096 ticks are kept, and the first that fit into a megabyte; of huge ones none."""
    graph = lif_layer(inputs=2)
    ticks = ticks_of(graph, MOST_TICKS + 3)
    graph.hold_examples(ticks)
    assert len(graph.examples["x"]) == MOST_TICKS
    np.testing.assert_array_equal(graph.examples["x"][-1], ticks[MOST_TICKS - 1]["x"])
    wide = lif_layer(inputs=1000, neurons=2)
    wide.hold_examples(ticks_of(wide, 300))
    assert len(wide.examples["x"]) == MOST_BYTES // 4000
    huge = lif_layer(inputs=1100, neurons=2)
    huge.hold_examples(ticks_of(huge, 300))
    assert huge.examples == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.value.replace("300 ", "299 ", 1),
        lambda entry: entry.value[:-4],
        lambda entry: entry.value.replace("\n", "\n!", 1),
        lambda entry: "",
    ],
    ids=["another number", "cut", "no base64", "empty"],
)
def test_damaged_examples_are_refused(change, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """What was changed, and examples of an input that there is not, are found when the graph is loaded."""
    graph = lif_layer()
    graph.hold_examples(ticks_of(graph, 300))
    entry = next(item for item in graph.model.metadata_props if item.key.startswith(PREFIX))
    value = entry.value
    entry.value = change(entry)
    onnx.save(graph.model, tmp_path / "net.onnx")
    with pytest.raises(GraphError, match="examples that the graph carries are damaged"):
        StepGraph.load(tmp_path / "net.onnx")
    entry.value, entry.key = value, f"{PREFIX}other"
    onnx.save(graph.model, tmp_path / "net.onnx")
    with pytest.raises(GraphError, match="examples that the graph carries are damaged"):
        StepGraph.load(tmp_path / "net.onnx")
