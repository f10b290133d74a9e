"""OpenVINO in float32, with the state inside the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from astroedge.step.graph import StepGraph
from astroedge.step.onnx_file import whole_message
from benchmarks.peers.peer import Peer
from benchmarks.peers.work import Array, Tick, Work

PEER = Peer(
    name="openvino",
    precision="fp32",
    recipe="PERFORMANCE_HINT LATENCY, INFERENCE_PRECISION_HINT f32 (the default here is bfloat16), "
    "INFERENCE_NUM_THREADS; the state in variables of the model (ReadValue and Assign, which swap buffers), "
    "inputs in shared memory.",
    module=__name__,
    packages=("openvino",),
)


def start(work: Work) -> Tick:
    """The step graph as exported."""
    return stateful_tick(work, read_model(work), {})


def read_model(work: Work) -> Any:
    """The step graph as an OpenVINO model."""
    import openvino

    return openvino.Core().read_model(whole_message(work.graph.model))


def stateful_tick(work: Work, model: Any, settings: dict[Any, Any]) -> Tick:
    """A tick of `model`, which has the inputs and outputs of the step graph; `settings` go on top of the usual ones."""
    import openvino
    from openvino import properties as ov
    from openvino.properties import hint

    keep_state_inside(model, work.graph)
    usual = {
        hint.performance_mode: hint.PerformanceMode.LATENCY,
        hint.inference_precision: openvino.Type.f32,
        hint.enable_cpu_pinning: False,  # the process is bound to its cores already
        ov.inference_num_threads: work.threads,
    }
    request = openvino.Core().compile_model(model, "CPU", {**usual, **settings}).create_infer_request()
    inputs = [np.zeros(item.shape, item.dtype) for item in work.spec.inputs]
    for item, array in zip(work.spec.inputs, inputs, strict=True):
        request.set_tensor(item.name, openvino.Tensor(array, shared_memory=True))
    result: Array = request.get_tensor(work.spec.outputs[0].name).data

    def tick(row: Sequence[Array]) -> Array:
        for given, value in zip(inputs, row, strict=True):
            given[...] = value
        request.infer(share_outputs=True)
        return result

    return tick


def keep_state_inside(model: Any, graph: StepGraph) -> None:
    """Make a variable of `model` of each state, with its initial value, in place of the state's input and output.

    OpenVINO's own MakeStateful gives no initial values, without which its CPU plugin refuses a quantised model.
    """
    from openvino import op
    from openvino.op.util import Variable, VariableInfo

    inputs = {name: node for node in model.get_parameters() for name in node.output(0).names}
    outputs = {name: node for node in model.get_results() for name in node.output(0).names}
    initial = graph.initial_state()
    for state in graph.spec.states:
        taken, given = inputs[state.input_name], outputs[state.output_name]
        info = VariableInfo()
        info.variable_id = state.name
        info.data_type, info.data_shape = taken.get_element_type(), taken.get_partial_shape()
        variable = Variable(info)
        read = op.read_value(op.Constant(initial[state.name]).output(0), variable)
        for reader in taken.output(0).get_target_inputs():
            reader.replace_source_output(read.output(0))
        following = given.input_value(0)
        assert following.get_index() == 0, "Assign takes a node's first output"
        model.add_variables([variable])
        model.add_sinks([op.assign(following.get_node(), variable)])
        model.remove_result(given)
        model.remove_parameter(taken)
    model.validate_nodes_and_infer_types()
