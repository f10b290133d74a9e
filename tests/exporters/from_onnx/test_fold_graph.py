"""What is known before the first tick is computed at export."""

from __future__ import annotations

import numpy as np
from onnx import numpy_helper, parser

from astroedge.exporters.from_onnx.fold_graph import fold_graph


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
    folded = fold_graph(model)
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
    folded = fold_graph(model)
    assert [node.op_type for node in folded.graph.node] == ["Gather"]
    np.testing.assert_array_equal(numpy_helper.to_array(folded.graph.initializer[0]), [[1, 2]])
