"""What is folded into constants or written as functions before a foreign graph becomes a step."""

from __future__ import annotations

import numpy as np
from onnx import helper, numpy_helper, parser

from astroedge.exporters.from_onnx.fold_graph import fold_graph, inferred_shapes
from astroedge.step.onnx_session import open_session
from tests.support.foreign_onnx import model_of, value


def test_operator_of_unknown_result_becomes_its_function() -> None:
    """ONNX infers nothing of GroupNormalization; its function has a result of known shape, and the same numbers."""
    node = helper.make_node("GroupNormalization", ["x", "s", "s"], ["y"], num_groups=2)
    model = model_of([node], [value("x", [1, 4, 3])], [value("y", [1, 4, 3])], s=np.arange(1, 5).astype(np.float32))
    model.opset_import[0].version = 21
    folded = fold_graph(model, {})
    assert inferred_shapes(folded)["y"] == (1, 4, 3)
    x = {"x": np.random.default_rng(1).normal(size=(1, 4, 3)).astype(np.float32)}
    given, expected = (open_session(graph).run(None, x)[0] for graph in (folded, model))
    np.testing.assert_allclose(given, expected, atol=1e-5)


def test_a_range_of_arrays_of_one_is_folded() -> None:
    """Some exporters write the limits of a Range as arrays of one element, which ONNX Runtime takes."""
    model = parser.parse_model("""
        <ir_version: 8, opset_import: ["": 18]> g (float[3] x) => (float[N] y) {
            zero = Constant<value_int=0>()
            three = Constant<value_ints=[3]>()
            one = Constant<value_int=1>()
            places = Range(zero, three, one)
            y = Gather(x, places)
        }""")
    folded = fold_graph(model, {})
    assert [node.op_type for node in folded.graph.node] == ["Gather"]
    assert numpy_helper.to_array(folded.graph.initializer[0]).tolist() == [0, 1, 2]


def test_places_of_a_known_mask_are_folded() -> None:
    """The size of NonZero depends on data, but not where the data are constant."""
    model = parser.parse_model("""
        <ir_version: 8, opset_import: ["": 18]> g (float[3] x) => (float[1, N] y) {
            mask = Constant<value_ints=[0, 4, 5]>()
            places = NonZero(mask)
            y = Gather(x, places)
        }""")
    folded = fold_graph(model, {})
    assert [node.op_type for node in folded.graph.node] == ["Gather"]
    np.testing.assert_array_equal(numpy_helper.to_array(folded.graph.initializer[0]), [[1, 2]])


def test_windows_and_spectra_have_known_shapes() -> None:
    """A window of constant size is folded; of an STFT without onesided ONNX infers all frequencies, not half."""
    model = parser.parse_model("""
        <ir_version: 8, opset_import: ["": 17]> g (float[1, 32, 1] x) => (float[B, F, N, P] y) {
            size = Constant<value_int=8>()
            window = HannWindow(size)
            step = Constant<value_int=4>()
            y = STFT(x, step, window)
        }""")
    folded = fold_graph(model, {})
    assert [node.op_type for node in folded.graph.node] == ["STFT"]
    x = {"x": np.random.default_rng(1).normal(size=(1, 32, 1)).astype(np.float32)}
    assert inferred_shapes(folded)["y"] == open_session(model).run(None, x)[0].shape == (1, 7, 5, 2)


def test_a_mapped_sequence_is_written_out() -> None:
    """SequenceMap over the parts of a tensor becomes its body once for each of them."""
    model = parser.parse_model("""
        <ir_version: 8, opset_import: ["": 17]> g (float[1, 3] x) => (float[1, N] y) {
            parts = SplitToSequence<axis=1>(x)
            made = SequenceMap<body = each (float[1, 1] a) => (float[1, 1] b) { b = Exp(a) }>(parts)
            y = ConcatFromSequence<axis=1>(made)
        }""")
    folded = fold_graph(model, {})
    kinds = [node.op_type for node in folded.graph.node if node.op_type != "Identity"]
    assert kinds == ["Split", "Exp", "Exp", "Exp", "Concat"]
    x = {"x": np.array([[0.5, -1, 2]], np.float32)}
    np.testing.assert_allclose(open_session(folded).run(None, x)[0], np.exp(x["x"]), rtol=1e-6)


def test_a_normalisation_without_axes_has_a_known_shape() -> None:
    """The default axes of MeanVarianceNormalization are written, which ONNX's function for it needs."""
    node = helper.make_node("MeanVarianceNormalization", ["x"], ["y"])
    model = model_of([node], [value("x", [2, 3, 4, 1])], [value("y", [2, 3, 4, 1])])
    folded = fold_graph(model, {})
    assert list(folded.graph.node[0].attribute[0].ints) == [0, 2, 3]
    assert inferred_shapes(folded)["y"] == (2, 3, 4, 1)
