"""A step graph made observable: every spike can be dictated, and every margin and tolerance is an output.

After the comparison that makes a spike tensor, its consumers read

    spike = (fired AND observed.free) OR dictated.<name>

so that with `observed.free` true and `dictated` all false the graph computes what it always did, and with it false
every neuron below sees the dictated spikes while `fired` still says what the reference itself would have done. One run
of the graph therefore compares all spike tensors at once, each under the spikes that were adopted above it.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from astroedge.host_package import require
from astroedge.runtimes.checking.error_bounds import Magnitudes
from astroedge.step.graph_index import GraphIndex, replace_items
from astroedge.step.operators import operators
from astroedge.step.spec import SpikeSpec, StepSpec
from astroedge.step.spike_margin import float_comparisons, margin_nodes

if TYPE_CHECKING:
    import onnx
    from onnx import helper

    from astroedge.step.graph import StepGraph
else:
    onnx = require("onnx", "comparing with ONNX Runtime")
    helper = require("onnx.helper", "comparing with ONNX Runtime")

FREE = "observed.free"
BOOLEAN_OPERATORS = operators(lambda row: row.kind in ("comparison", "equality", "logic"))
FORWARDING = operators(lambda row: row.kind in ("cast", "copy"))
FLOAT, BOOL = onnx.TensorProto.FLOAT, onnx.TensorProto.BOOL


@dataclass(frozen=True)
class ObservedGraph:
    """An instrumented copy of a step graph's model and the names of what it has in addition.

    `dictated` has, by spike tensor, the Boolean input that dictates it. A spike tensor that no comparison or logical
    operator makes cannot be dictated and is missing. `fired` has the Boolean outputs of what the reference's neurons
    did. `margins` has, for spikes made by comparing floats, the float32 outputs left minus right side. `scales` has
    the float32 outputs of largest operands: of a margin under the spike's name, of a float output or next state under
    its name in the graph.
    """

    model: onnx.ModelProto
    dictated: dict[str, str] = field(default_factory=dict)
    fired: dict[str, str] = field(default_factory=dict)
    margins: dict[str, str] = field(default_factory=dict)
    scales: dict[str, str] = field(default_factory=dict)


def observe(graph: StepGraph) -> ObservedGraph:
    """Instrument a copy of the graph's model; the graph itself is not changed."""
    observed = ObservedGraph(deepcopy(graph.model))
    magnitudes = Magnitudes(graph.model)
    makers = GraphIndex(graph.model.graph).makers
    sources = {spike.name: _boolean_source(spike.tensor, makers) for spike in graph.spec.spikes}
    for spike in graph.spec.spikes:
        source = sources[spike.name]
        if source is not None:
            _observe_margin(observed, magnitudes, spike, float_comparisons(source, makers, magnitudes.is_float))
    _observe_values(observed, magnitudes, graph.spec)
    _dictate(observed, graph.spec, sources)
    observed.model.graph.node.extend(magnitudes.nodes)
    observed.model.graph.initializer.extend(magnitudes.constants)
    return observed


def _boolean_source(tensor: str, makers: Mapping[str, onnx.NodeProto]) -> str | None:
    """The Boolean value that `tensor` is, or is cast from; None when it comes from anything else."""
    while tensor in makers and makers[tensor].op_type in FORWARDING:
        tensor = makers[tensor].input[0]
    return tensor if tensor in makers and makers[tensor].op_type in BOOLEAN_OPERATORS else None


def _observe_margin(
    observed: ObservedGraph, magnitudes: Magnitudes, spike: SpikeSpec, comparisons: list[onnx.NodeProto]
) -> None:
    """Add the margin of a spike tensor that comparisons of floats decide, and the largest operand of their sides."""
    if not comparisons:
        return
    observed.model.graph.node.extend(margin_nodes(spike, comparisons))
    observed.margins[spike.name] = f"margin.{spike.name}"
    _add_output(observed, observed.margins[spike.name], FLOAT)
    _observe_scale(observed, magnitudes, spike.name, [side for node in comparisons for side in node.input])


def _observe_values(observed: ObservedGraph, magnitudes: Magnitudes, spec: StepSpec) -> None:
    """Add the largest operand of every float output and next state."""
    for name in (*(item.name for item in spec.outputs), *(state.output_name for state in spec.states)):
        if magnitudes.is_float(name):
            _observe_scale(observed, magnitudes, name, [name])


def _observe_scale(observed: ObservedGraph, magnitudes: Magnitudes, name: str, values: list[str]) -> None:
    """Add the output `scale.<name>`: the largest operand of `values`, the largest of them where there are several.

    Two comparisons that read one membrane have its operands in common.
    """
    largest = []
    for magnitude in dict.fromkeys(magnitudes.of(value) for value in values):
        largest.append(f"{magnitude}.{name}")
        magnitudes.nodes.append(helper.make_node("Cast", [magnitude], [largest[-1]], to=FLOAT))
    observed.scales[name] = f"scale.{name}"
    magnitudes.nodes.append(helper.make_node("Max", largest, [observed.scales[name]]))
    _add_output(observed, observed.scales[name], FLOAT)


def _dictate(observed: ObservedGraph, spec: StepSpec, sources: Mapping[str, str | None]) -> None:
    """Add the inputs and nodes by which spikes are dictated, and the outputs of what really fired.

    Spike tensors that are casts of one Boolean value share one input.
    """
    graph = observed.model.graph
    graph.input.append(helper.make_tensor_value_info(FREE, BOOL, []))
    shared: dict[str, str] = {}
    for spike in spec.spikes:
        source = sources[spike.name]
        observed.fired[spike.name] = f"fired.{spike.name}"
        if source is None:
            graph.node.append(helper.make_node("Cast", [spike.tensor], [f"fired.{spike.name}"], to=BOOL))
        else:
            if source not in shared:
                shared[source] = f"dictated.{spike.name}"
                graph.input.append(helper.make_tensor_value_info(shared[source], BOOL, spike.shape))
            observed.dictated[spike.name] = shared[source]
            graph.node.append(helper.make_node("Identity", [f"{source}.undictated"], [f"fired.{spike.name}"]))
        _add_output(observed, f"fired.{spike.name}", BOOL)
    replace_items(graph.node, [item for node in graph.node for item in _with_dictation(node, shared)])


def _with_dictation(node: onnx.NodeProto, dictated: Mapping[str, str]) -> list[onnx.NodeProto]:
    """The node, and, if it makes a spike tensor, the two that put the dictated spikes in the place of its own."""
    if not node.output or node.output[0] not in dictated:
        return [node]
    spike, copy = node.output[0], deepcopy(node)
    copy.output[0] = f"{spike}.undictated"
    allowed = helper.make_node("And", [copy.output[0], FREE], [f"{spike}.allowed"])
    return [copy, allowed, helper.make_node("Or", [allowed.output[0], dictated[spike]], [spike])]


def _add_output(observed: ObservedGraph, name: str, kind: int) -> None:
    observed.model.graph.output.append(helper.make_tensor_value_info(name, kind, None))
