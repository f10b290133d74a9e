"""Powers with a stored exponent: a root or a chain of products, never a logarithm."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from astroedge.runtimes import load
from astroedge.step.spec import StepSpec, TensorSpec
from tests.support import graphs
from tests.support.builds import build

WHOLE, WIDTH = (2, 3, 5), 512


@pytest.mark.compiles
def test_whole_exponents_multiply_and_a_half_is_a_root(capfd: pytest.CaptureFixture[str]) -> None:
    """Squares, cubes and fifth powers have the bits of products, ** 0.5 those of the root; nothing is warned of."""
    x = TensorSpec("x", (1, WIDTH), "float32")
    exponents = {f"e{n}": np.array(n, np.float32) for n in WHOLE} | {"e0": np.array(0.5, np.float32)}
    outputs = tuple(TensorSpec(f"y{name[1:]}", (1, WIDTH), "float32") for name in exponents)
    nodes = [helper.make_node("Pow", ["x", name], [f"y{name[1:]}"]) for name in exponents]
    graph = graphs.build("powers", StepSpec(inputs=(x,), outputs=outputs, states=()), nodes, exponents)
    values = (np.random.default_rng(3).standard_normal((1, WIDTH)) * 10.0 ** np.linspace(-8, 5, WIDTH)).astype("f4")
    with load(build(graph)) as session:
        found = {name: array.copy() for name, array in session.step(x=np.abs(values)).items()}
        signed = session.step(x=values)["y3"].copy()
    x1 = np.abs(values)
    x2 = x1 * x1
    expected = {"y2": x2, "y3": x1 * x2, "y5": x1 * (x2 * x2), "y0": np.sqrt(x1)}
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    np.testing.assert_array_equal(signed, values * (values * values))
    assert "pow(" not in capfd.readouterr().err
