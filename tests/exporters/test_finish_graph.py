"""The back half of an export: first values as numbers, and notes on what the examples do not show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from astroedge.exporters.export_onnx import export_onnx
from astroedge.exporters.finish_graph import fill_value
from astroedge.step.examples import LEAST_TICKS
from tests.support.foreign_onnx import model_of, value

BEYOND_FLOAT64 = 2**53 + 1


@pytest.mark.parametrize(
    ("array", "fill"),
    [
        (np.full((2, 3), 0.1, np.float32), float(np.float32(0.1))),
        (np.ones(4, bool), 1.0),
        (np.array([1.0, 2.0], np.float32), None),
        (np.array([0.0, -0.0], np.float32), None),
        (np.full(2, BEYOND_FLOAT64), None),
    ],
    ids=["one number", "truth", "two numbers", "two zeros", "beyond float64"],
)
def test_fill_is_a_number_that_stands_for_every_bit(array: np.ndarray, fill: float | None) -> None:
    """One number stands for an array only where it gives every element back bit for bit."""
    assert fill_value(array) == fill


def test_first_value_of_a_foreign_counter_keeps_every_digit() -> None:
    """An int64 state may start at a number that no float holds."""
    nodes = [helper.make_node("Add", ["h", "one"], ["h_out"]), helper.make_node("Sub", ["h_out", "x"], ["y"])]
    inputs = [value(name, [1], TensorProto.INT64) for name in ("x", "h", "one")]
    outputs = [value(name, [1], TensorProto.INT64) for name in ("y", "h_out")]
    graph = export_onnx(
        model_of(nodes, inputs, outputs), {"h": "h_out"}, constants={"one": 1}, initial={"h": BEYOND_FLOAT64}
    )
    assert graph.initial_state()["h"].tolist() == [BEYOND_FLOAT64]


def test_many_examples_stay_in_the_graph() -> None:
    """What firing rates were measured on goes along once it is enough to round weights by; a few ticks do not."""
    nodes = [helper.make_node("Add", ["h", "x"], ["h_out"]), helper.make_node("Neg", ["h_out"], ["y"])]
    model = model_of(nodes, [value("x", [1, 3]), value("h", [1, 3])], [value("y", [1, 3]), value("h_out", [1, 3])])
    ticks = [{"x": row} for row in np.random.default_rng(0).normal(size=(LEAST_TICKS, 1, 3)).astype(np.float32)]
    kept = export_onnx(model, {"h": "h_out"}, examples=ticks).examples["x"]
    np.testing.assert_array_equal(kept, np.stack([tick["x"] for tick in ticks]))
    assert export_onnx(model, {"h": "h_out"}, examples=ticks[1:]).examples == {}


def test_silent_spikes_of_a_foreign_graph_are_noted() -> None:
    """Spikes that the examples never raise are named, whatever the graph was made of."""
    nodes = [
        helper.make_node("Add", ["h", "x"], ["h_out"]),
        helper.make_node("Greater", ["h_out", "threshold"], ["fired"]),
        helper.make_node("Cast", ["fired"], ["y"], to=TensorProto.FLOAT),
    ]
    model = model_of(
        nodes,
        [value(name, [1, 3]) for name in ("x", "h", "threshold")],
        [value(name, [1, 3]) for name in ("y", "h_out")],
    )
    quiet = [{"x": np.zeros((1, 3), np.float32)}]
    (note,) = export_onnx(model, {"h": "h_out"}, constants={"threshold": 1.0}, examples=quiet).notes
    assert note.startswith("Spike tensor 'spike' never fired on the example data")


def test_a_name_that_is_no_text_becomes_one(tmp_path: Path) -> None:
    """A file may be called by any bytes; in the graph stand their numbers."""
    nodes = [helper.make_node("Add", ["h", "x"], ["h_out"])]
    inputs = [value(name, [1]) for name in ("x", "h")]
    path = tmp_path / "net\udcff\n.onnx"
    path.write_bytes(model_of(nodes, inputs, [value("h_out", [1])]).SerializeToString())
    assert export_onnx(path, {"h": "h_out"}).name == "net\\udcff\\n"
