"""An operator form that no pass carries is refused with its name and the module that uses it."""

from __future__ import annotations

import numpy as np
import pytest

from astroedge.errors import CompileError
from tests.support.builds import build
from tests.support.node_forms import node, step_of_nodes

X = np.ones((1, 1, 4, 4), np.float32)


@pytest.mark.parametrize("target", ["native", "jetson-orin-nano-cuda"])
@pytest.mark.parametrize(
    ("call", "feeds", "limits"),
    [
        (node("CumSum", "x", "axis"), {"axis": np.array(1)}, "a constant axis"),
    ],
)
def test_refusal_names_operator_and_module(
    call: tuple[object, ...], feeds: dict[str, np.ndarray], limits: str, target: str
) -> None:
    """The node is found among others, whichever pass failed; the text is one line and says what would do.

    What no processor carries is refused alike for a GPU.
    """
    graph = step_of_nodes([node("Relu", "x"), call], {"x": X, **feeds})
    with pytest.raises(CompileError) as caught:
        build(graph, target)
    text = str(caught.value)
    assert text.startswith(f"Module 'call1' uses {call[0]} in a form that has no kernel (")
    assert f"what is compiled of it: {limits}. " in text
    assert "\n" not in text
