"""A ConvTranspose in any of its forms is one convolution, with the values that ONNX Runtime gives it."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from astroedge.runtimes import load
from astroedge.runtimes.checking.reference import ReferenceSession
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StepSpec, TensorSpec
from astroedge.targets.compiler.expand.expand_operators import expand_operators
from tests.support import graphs
from tests.support.builds import build

Form = tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]
IMAGE = (1, 2, 4, 5)
FORMS: list[Form] = [
    *(
        ((2, 4, 5), (4, 3, taps), {"strides": [stride], "dilations": [dilation], "pads": pads, "group": 2})
        for stride, taps, dilation, pads in product((1, 2, 3), (1, 2, 5), (1, 2), ([0, 0], [2, 1], [0, 3]))
        if (stride * 4 + (taps - 1) * dilation + 1) > sum(pads)
    ),
    (IMAGE, (2, 3, 3, 2), {"strides": [3, 2], "output_padding": [2, 1], "pads": [1, 0, 0, 1]}),
    (IMAGE, (2, 3, 1, 1), {"strides": [3, 3], "pads": [4, 3, 1, 3]}),
    *(
        (IMAGE, (2, 3, taps, taps), {"strides": [2, 2], "auto_pad": mode})
        for mode, taps in product(("SAME_UPPER", "SAME_LOWER", "VALID"), (2, 3, 4))
    ),
    *((IMAGE, (2, 3, 3, 4), {"strides": [3, 2], "output_shape": size}) for size in ([12, 10], [9, 9], [11, 12])),
    (IMAGE, (2, 3, 3, 4), {"strides": [3, 2], "output_shape": [10, 11], "auto_pad": "SAME_UPPER"}),
    ((1, 2, 3, 4, 5), (2, 3, 3, 2, 3), {"strides": [2, 1, 3], "pads": [1, 0, 1, 0, 1, 1]}),
]


def model_of(form: Form, bias: bool) -> tuple[onnx.ModelProto, np.ndarray]:
    """A graph of one call with a constant kernel, and an image for it."""
    shape, kernel, attributes = form
    random = np.random.default_rng(3)
    stored = {"w": random.standard_normal(kernel).astype(np.float32)}
    if bias:
        stored["b"] = random.standard_normal(kernel[1] * attributes.get("group", 1)).astype(np.float32)
    node = helper.make_node("ConvTranspose", ["x", *stored], ["y"], **attributes)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["open"] * len(shape))
    graph = helper.make_graph([node], "net", [x], [y], [numpy_helper.from_array(v, name) for name, v in stored.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return model, random.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("bias", [False, True])
def test_every_form_is_a_convolution(bias: bool) -> None:
    """Strides, dilations, groups, padding given or computed, output padding and sizes; one, two and three axes."""
    for form in FORMS:
        model, x = model_of(form, bias)
        results = []
        for _ in range(2):
            onnx.checker.check_model(model, full_check=True)
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            session = onnxruntime.InferenceSession(model.SerializeToString(), options)
            results.append(session.run(None, {"x": x})[0])
            expand_operators(model)
        assert "ConvTranspose" not in {node.op_type for node in model.graph.node}
        assert results[0].shape == results[1].shape, form
        np.testing.assert_allclose(results[1], results[0], rtol=0, atol=2e-6, err_msg=str(form))


def step() -> StepGraph:
    """Three of them, of one, two and three axes, on images of zeros and ones."""
    random = np.random.default_rng(8)
    shapes = {"line": (1, 2, 6), "image": (1, 2, 4, 5), "block": (1, 2, 3, 3, 2)}
    kernels = {"line": (2, 3, 4), "image": (2, 2, 3, 3), "block": (2, 2, 2, 3, 2)}
    sizes = {"line": (1, 3, 12), "image": (1, 4, 8, 10), "block": (1, 2, 6, 9, 4)}
    options: dict[str, dict[str, Any]] = {
        "line": {"strides": [2], "pads": [1, 1]},
        "image": {"strides": [2, 2], "auto_pad": "SAME_UPPER", "group": 2},
        "block": {"strides": [2, 3, 2]},
    }
    nodes = [helper.make_node("ConvTranspose", [name, f"{name}.w"], [f"{name}.y"], **options[name]) for name in shapes]
    spec = StepSpec(
        tuple(TensorSpec(name, shape, "float32", firing_rate=0.1) for name, shape in shapes.items()),
        tuple(TensorSpec(f"{name}.y", shape, "float32") for name, shape in sizes.items()),
        (),
    )
    stored = {f"{name}.w": graphs.grid_weights(random, *shape) for name, shape in kernels.items()}
    return graphs.build("transposed", spec, nodes, stored)


def test_compiled_results_are_exact_where_sums_are() -> None:
    """On a grid of 1/64 every order of additions gives the same bits as ONNX Runtime's."""
    graph = step()
    data = graphs.random_inputs(graph, 5)
    wanted = ReferenceSession(graph).run(**data)
    with load(build(graph)) as session:
        given = session.run(**data)
    for name in wanted:
        np.testing.assert_array_equal(given[name], wanted[name])
