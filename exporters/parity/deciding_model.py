"""A step whose decisions can be made from outside, element by element; what lies below them follows."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

import numpy as np
import onnx
from onnx import helper

from astroedge.exporters.parity.explain import Flips
from astroedge.exporters.parity.firing_rates import Tick
from astroedge.step.graph_index import replace_items

FREE, GIVEN = "@free", "@given"
"""Behind a decision's name: the inputs that say which elements the step decides itself, and what the others are."""


def deciding_model(model: onnx.ModelProto, decisions: Tick) -> onnx.ModelProto:
    """`model` with two more inputs for each of `decisions`, whose values of some tick give shapes and dtypes.

    For decision `d`, `d@free` is true where the step decides itself; elsewhere `d` is what `d@given` says.
    """
    copy = deepcopy(model)
    nodes = []
    for node in copy.graph.node:
        nodes.append(node)
        for number, name in enumerate(node.output):
            if name in decisions:
                node.output[number] = f"{name}@computed"
                nodes += _choice(name, boolean=decisions[name].dtype == np.bool_)
    replace_items(copy.graph.node, nodes)
    for name, value in decisions.items():
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        copy.graph.input.append(helper.make_tensor_value_info(name + FREE, onnx.TensorProto.BOOL, value.shape))
        copy.graph.input.append(helper.make_tensor_value_info(name + GIVEN, kind, value.shape))
    for value in [value for value in copy.graph.output if value.name in decisions]:
        copy.graph.output.remove(value)
    return copy


def feeds_of(flips: Flips, decisions: Mapping[str, np.ndarray]) -> Tick:
    """What the inputs of a deciding model are for `flips`."""
    feeds: Tick = {}
    for name, value in decisions.items():
        feeds[name + FREE], feeds[name + GIVEN] = np.ones(value.shape, np.bool_), np.zeros(value.shape, value.dtype)
    for (name, place), other in flips.items():
        feeds[name + FREE].reshape(-1)[place] = False
        feeds[name + GIVEN].reshape(-1)[place] = other
    return feeds


def _choice(name: str, *, boolean: bool) -> list[onnx.NodeProto]:
    """The nodes that make `name` from what is computed and what is given; ONNX Runtime's Where has no Booleans."""
    computed, free, given = f"{name}@computed", name + FREE, name + GIVEN
    if not boolean:
        return [helper.make_node("Where", [free, computed, given], [name])]
    return [
        helper.make_node("And", [computed, free], [f"{name}@kept"]),
        helper.make_node("Or", [f"{name}@kept", given], [name]),
    ]
