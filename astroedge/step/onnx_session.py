"""Opening ONNX Runtime on a model, in one place: quiet, whatever the model's size."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING

from astroedge.host_package import require
from astroedge.scratch import scratch_folder
from astroedge.step import onnx_file

if TYPE_CHECKING:
    import onnx
    import onnxruntime
else:
    onnx = require("onnx", "running a step graph in ONNX Runtime")
    onnxruntime = require("onnxruntime", "running a step graph in ONNX Runtime")

FATAL_ONLY = 4  # what ONNX Runtime refuses it raises as well; printed too, it would be a line for every tick

CPU = "CPUExecutionProvider"

# ONNX Runtime would round the activations before a product with dequantised weights to 8 bits as well. That is another
# network (off by 0.08 where rounding is 2e-6), so what it does to DequantizeLinear and its readers is switched off.
EXACT_ONLY = {"session.disable_quant_qdq": "1"}


def open_session(
    model: onnx.ModelProto,
    extra_outputs: Sequence[str] = (),
    *,
    threads: int = 1,
    deterministic: bool = False,
    providers: Sequence[str] = (CPU,),
) -> onnxruntime.InferenceSession:
    """ONNX Runtime on `model`, optimised where that only rounds anew, and with inner values as further outputs.

    The first of `providers` that carries an operator runs it, on up to `threads` threads. `deterministic` asks for
    kernels that give the same bits at every run. A model too large for one message goes through a file that is
    gone once the session is open.

    Raises what ONNX Runtime raises for a model that it does not run.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.use_deterministic_compute = deterministic
    options.log_severity_level = FATAL_ONLY
    for option, word in EXACT_ONLY.items():
        options.add_session_config_entry(option, word)
    model = _with_outputs(model, extra_outputs)
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) <= onnx_file.EXTERNAL_LIMIT:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, list(providers))
    with scratch_folder("graph") as folder:
        path = folder / "graph.onnx"
        onnx_file.write_model(model, path)
        return onnxruntime.InferenceSession(path, options, list(providers))


def _with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """`model` itself if it has these outputs, else a copy that does."""
    present = {value.name for value in model.graph.output}
    missing = [name for name in dict.fromkeys(names) if name not in present]
    if missing:
        model = deepcopy(model)
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in missing)
    return model
