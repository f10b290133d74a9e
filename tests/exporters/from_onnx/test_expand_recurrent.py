"""LSTM, GRU and RNN over a short sequence inside a tick, in every form that ONNX has."""

from __future__ import annotations

import pytest
from onnx import helper

from astroedge.errors import UnsupportedOpError
from astroedge.exporters.export_onnx import export_onnx
from astroedge.exporters.from_onnx.recurrent_activations import PARAMETERS
from astroedge.exporters.from_onnx.recurrent_call import GATES
from tests.support.foreign_onnx import model_of, value
from tests.support.recurrent_forms import Form, recurrent_step, ticks

COUNTED = {"ticks": "ticks_out"}
BIDIRECTIONAL = {"direction": "bidirectional"}
REVERSE = {"direction": "reverse"}
FORMS = [
    *(
        form
        for kind in GATES
        for form in (
            Form(kind),
            Form(kind, BIDIRECTIONAL, bias=False, initial=False),
            Form(kind, BIDIRECTIONAL, lengths=[2, 3]),
            Form(kind, lengths=[0, 2]),
            Form(kind, REVERSE, lengths="fed"),
            Form(kind, {"clip": 0.3}, wanted=(True, False, False)),
            Form(kind, BIDIRECTIONAL, computed=True),
            Form(kind, REVERSE, wanted=(False, True, True)),
        )
    ),
    Form("GRU", {"linear_before_reset": 1, **BIDIRECTIONAL}),
    Form("GRU", {"linear_before_reset": 1, "clip": 0.2}, bias=False),
    Form("LSTM", {"clip": 0.2, **BIDIRECTIONAL}, peepholes=True),
    Form("LSTM", {"input_forget": 1}, peepholes=True, lengths=[1, 3]),
]
ACTIVATED = [
    *(Form("RNN", {"activations": [name]}) for name in PARAMETERS),
    *(Form("RNN", {"activations": [name], "activation_alpha": [0.3], "activation_beta": [0.7]}) for name in PARAMETERS),
    Form(
        "GRU", {"activations": ["HardSigmoid", "leakyrelu"], "activation_alpha": [0.3, 0.4], "activation_beta": [0.7]}
    ),
    Form(
        "LSTM",
        {
            "activations": ["Affine", "Elu", "ScaledTanh"] * 2,
            "activation_alpha": [0.3, 0.4, 0.5, 0.6, 0.7, 0.8],
            "activation_beta": [0.1, 0.2, 0.3, 0.4],
            **BIDIRECTIONAL,
        },
    ),
]


@pytest.mark.parametrize(
    ("forms", "layout"),
    [(FORMS, 0), ([Form(kind, BIDIRECTIONAL) for kind in GATES], 1), (ACTIVATED, 0)],
    ids=["forms", "batch first", "activations"],
)
def test_sequence_inside_a_tick_is_written_out(forms: list[Form], layout: int) -> None:
    """Every form gives what ONNX Runtime's own operator gives over 200 ticks, and none of the operators is left."""
    graph = export_onnx(recurrent_step(forms, layout), COUNTED, examples=ticks(layout))
    assert graph.parity is not None
    assert graph.parity.worst < 2e-6
    assert not GATES.keys() & {node.op_type for node in graph.model.graph.node}


def test_whole_sequence_is_projected_by_one_product() -> None:
    """Of the two products of a GRU only the one with the hidden state is repeated for each element."""
    graph = export_onnx(recurrent_step([Form("GRU", {"linear_before_reset": 1})]), COUNTED, examples=ticks())
    products = [node.input[1] for node in graph.model.graph.node if node.op_type == "Gemm"]
    assert sorted(products) == ["y_0.hidden.weight"] * 3 + ["y_0.input.weight"]


@pytest.mark.parametrize(
    ("length", "options", "message"),
    [
        (1025, {}, "GRU that makes 'y' .* over 1025 elements .* at most 1024"),
        (2, {"activations": ["Sigmoid", "Gelu"]}, "activations are Sigmoid, Gelu; it takes 2 of Affine"),
        (2, {"activations": ["Sigmoid"]}, "it takes 2 of Affine"),
    ],
)
def test_what_cannot_be_written_out_is_named(length: int, options: dict[str, object], message: str) -> None:
    """A sequence of a thousand copies, and activations that ONNX does not name."""
    node = helper.make_node("GRU", ["x", "w", "r"], ["y", "h_out"], hidden_size=1, **options)
    weights = {"w": [[[1.0]] * 3], "r": [[[1.0]] * 3]}
    fed = [value("x", [length, 1, 1]), *(value(name, [1, 3, 1]) for name in weights), value("h", [1, 1, 1])]
    model = model_of([node], fed, [value("y", [length, 1, 1, 1]), value("h_out", [1, 1, 1])])
    with pytest.raises(UnsupportedOpError, match=message):
        export_onnx(model, {"h": "h_out"}, constants=weights)
