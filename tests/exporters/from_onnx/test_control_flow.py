"""Loops, scans, branches and sequences of a foreign graph: written out where their form is known, else refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from astroedge.errors import UnsupportedOpError
from astroedge.exporters.export_onnx import export_onnx
from astroedge.step.graph import StepGraph

STORED = {
    "one": np.ones(1, np.float32), "limit": np.float32(1), "zero": np.array(0), "two": np.array(2), "four": np.array(4),
    "last": np.array(-1), "true": np.array(True), "one_int": np.array([1]), "two_ints": np.array([2]),
    "nine_ints": np.array([9]), "sizes": np.array([3, 3]),
}  # fmt: skip


def exported(nodes: str, outputs: str, inputs: str = "float[3] x") -> StepGraph:
    """A step of `nodes` beside the state `h`, which counts; `outputs` are those of the nodes."""
    text = (
        f'<ir_version: 8, opset_import: ["" : 18]> g ({inputs}, float[1] h) => ({outputs}, float[1] h2) '
        f"{{ {nodes} h2 = Add(h, one) }}"
    )
    model = parser.parse_model(text)
    read = {name for node in model.graph.node for name in _reads(node)}
    model.graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in STORED.items() if name in read)
    return export_onnx(model, {"h": "h2"}, name="step")


def _reads(node: onnx.NodeProto) -> list[str]:
    inner = [item for attribute in node.attribute for item in attribute.g.node]
    return [*node.input, *(name for item in inner for name in _reads(item))]


BODY = "(int64 i, bool c, float[3] v) => (bool c2, float[3] v2)"
CARRIED = [
    # A trip count and a condition, a captured outer value, a result of each turn.
    (
        "y, z = Loop(four, true, x) <body = b(int64 i, bool c, float[3] v) => (bool c2, float[3] v2, float[3] s)"
        "{ c2 = Identity(c) f = Cast<to=1>(i) v1 = Add(v, f) v2 = Mul(v1, x) s = Sub(v2, f) }>",
        "float[3] y, float[a, b] z",
    ),
    # No condition at first.
    (f"y = Loop(two, , x) <body = b{BODY} {{ c2 = Identity(c) v2 = Mul(v, x) }}>", "float[3] y"),
    # No turn at all.
    (f"y = Loop(zero, true, x) <body = b{BODY} {{ c2 = Identity(c) v2 = Mul(v, x) }}>", "float[3] y"),
    # As long as a number says that only constants make.
    (
        "y, k = Loop( , true, x, one_int) <body = b(int64 i, bool c, float[3] v, int64[1] a) =>"
        "(bool c2, float[3] v2, int64[1] a2) { a2 = Mul(a, two_ints) less = Less(a2, nine_ints) c2 = Squeeze(less)"
        "v2 = Mul(v, x) }>",
        "float[3] y, int64[1] k",
    ),
    # As long as data says, at most four turns; the first may be none.
    (
        f"sum = ReduceSum<keepdims=0>(x) begins = Less(sum, limit) y = Loop(four, begins, x) <body = b{BODY}"
        "{ s = ReduceSum<keepdims=0>(v) c2 = Less(s, limit) v2 = Mul(v, x) }>",
        "float[3] y",
    ),
    # A sequence that grows.
    (
        "empty = SequenceEmpty<dtype=1>() s = Loop(four, true, empty) <body = b(int64 i, bool c, seq(float[3]) v) =>"
        "(bool c2, seq(float[3]) v2) { c2 = Identity(c) f = Cast<to=1>(i) e = Mul(x, f) v2 = SequenceInsert(v, e) }>"
        "y = ConcatFromSequence<axis=0, new_axis=1>(s)",
        "float[a, 3] y",
    ),
    # Two inputs in different directions, results along different axes.
    (
        "xx = Expand(x, sizes) last_s, y, r = Scan<num_scan_inputs=2, scan_input_axes=[0, -1],"
        "scan_input_directions=[0, 1], scan_output_directions=[0, 1], scan_output_axes=[0, -1],"
        "body = b(float[3] s, float[3] e, float[3] q) => (float[3] s2, float[3] o, float[3] p)"
        "{ t = Add(s, e) s2 = Tanh(t) o = Mul(s2, q) p = Neg(o) }>(x, xx, xx)",
        "float[3, 3] y, float[3, 3] r",
    ),
    # A choice of data, numbers and truth values; a branch within a branch.
    (
        "sum = ReduceSum<keepdims=1>(x) above = Less(sum, limit) few = Greater(sum, one)"
        "y, z = If(above) <then_branch = a() => (float[3] p, bool[3] pz)"
        "{ p = If(few) <then_branch = d() => (float[3] u) { t = Neg(x) u = Div(t, t) },"
        "else_branch = e() => (float[3] w) { w = Exp(x) }> pz = Greater(p, limit) },"
        "else_branch = b() => (float[3] q, bool[3] qz) { q = Neg(x) qz = Less(q, limit) }>",
        "float[3] y, bool[3] z",
    ),
    # Pieces put in, taken out, left out, counted.
    (
        "s = SplitToSequence<axis=0>(x, two) t = SequenceErase(s, last) y = ConcatFromSequence<axis=0>(t)"
        "z = SequenceAt(s, last) n = SequenceLength(t) u = SequenceInsert(t, z, zero) w = SequenceAt(u, zero)"
        "single = SplitToSequence<axis=0, keepdims=0>(x) v = SequenceAt(single, two)",
        "float[a] y, float[b] z, int64 n, float[c] w, float v",
    ),
    # A value that may be there and is.
    (
        "o = Optional(x) y = OptionalGetElement(o) z = OptionalHasElement(o)",
        "float[3] y, bool z",
    ),
]  # fmt: skip


CONTROL = {"Loop", "Scan", "If", "SequenceAt", "ConcatFromSequence", "SplitToSequence", "SequenceInsert", "Optional"}


@pytest.mark.parametrize(("nodes", "outputs"), CARRIED)
def test_known_form_is_written_out(nodes: str, outputs: str) -> None:
    """ONNX Runtime's own control flow gives the same bits over 200 ticks, and none of it is left."""
    graph = exported(nodes, outputs)
    assert graph.parity is not None
    assert graph.parity.worst == 0.0
    assert not CONTROL & {node.op_type for node in graph.model.graph.node}


@pytest.mark.parametrize(
    ("nodes", "outputs", "message"),
    [
        (
            f"y = Loop(, true, x) <body = b{BODY}"
            "{ s = ReduceSum<keepdims=0>(v) c2 = Less(s, limit) v2 = Mul(v, x) }>",
            "float[3] y",
            "uses Loop, .* number of turns that is known",
        ),
        (f"y = Loop(k, true, x) <body = b{BODY} {{ c2 = Identity(c) v2 = Mul(v, x) }}>", "float[3] y", "uses Loop"),
        (
            "y, z = Loop(four, true, x) <body = b(int64 i, bool c, float[3] v) => (bool c2, float[3] v2, float[3] s)"
            "{ n = ReduceSum<keepdims=0>(v) c2 = Less(n, limit) v2 = Mul(v, x) s = Neg(v2) }>",
            "float[3] y, float[a, 3] z",
            "uses Loop",
        ),
        (
            f"many = Constant<value_int=1025>() y = Loop(many, true, x) <body = b{BODY}"
            "{ c2 = Identity(c) v2 = Mul(v, x) }>",
            "float[3] y",
            "Loop that makes 'y' takes more than 1024 turns",
        ),
        (
            "above = Greater(k, zero) y = If(above) <then_branch = a() => (int64 p) { p = Div(four, k) },"
            "else_branch = b() => (int64 q) { q = Neg(k) }>",
            "int64 y",
            "uses If, .* torch.where",
        ),
        (
            "above = Greater(k, zero) y = If(above) <then_branch = a() => (float p) { p = Gather(x, k) },"
            "else_branch = b() => (float q) { q = ReduceSum<keepdims=0>(x) }>",
            "float y",
            "uses If",
        ),
        (
            "above = Greater(k, zero) y = If(above) <then_branch = a() => (float[d] p) { p = Concat<axis=0>(x, x) },"
            "else_branch = b() => (float[d] q) { q = Neg(x) }>",
            "float[d] y",
            "uses If",
        ),
        ("s = SplitToSequence<axis=0>(x, two) y = SequenceAt(s, k)", "float[d] y", "uses SplitToSequence, .* places"),
    ],
)
def test_what_data_decides_is_refused_by_name(nodes: str, outputs: str, message: str) -> None:
    """Turns that data counts, results of different sizes, and branches that may fail on data that is not theirs."""
    with pytest.raises(UnsupportedOpError, match=message):
        exported(nodes, outputs, "float[3] x, int64 k")


def test_scan_of_the_first_kind_is_refused_by_name() -> None:
    """Until operator set 8 a Scan had a batch axis, which ONNX's own conversion loses."""
    model = parser.parse_model(
        '<ir_version: 3, opset_import: ["" : 8]> g (float[1, 3, 2] x, float[1, 2] h) =>'
        "(float[1, 3, 2] y, float[1, 2] h2)"
        "{ h2, y = Scan<num_scan_inputs=1, body = b(float[2] s, float[2] e) => (float[2] t, float[2] o)"
        "{ t = Add(s, e) o = Identity(t) }>( , h, x) }"
    )
    with pytest.raises(UnsupportedOpError, match="Scan of operator set 8"):
        export_onnx(model, {"h": "h2"})
