"""Opening ONNX Runtime on a model, in one place: quiet, whatever the model's size."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

from astroedge.host_package import require
from astroedge.scratch import scratch_folder
from astroedge.step import onnx_file
from astroedge.step.tensor_data import SMALL_TENSOR, MappedFile, forget, is_reference, sources_of, stored_size

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

# Of a large model the weights are read where their file is mapped: laid out anew for faster products, they would take
# their size once more.
IN_PLACE = {"session.disable_prepacking": "1"}
FOLDER = "session.model_external_initializers_file_folder_path"


def open_session(
    model: onnx.ModelProto,
    extra_outputs: Sequence[str] = (),
    *,
    threads: int = 1,
    deterministic: bool = False,
    providers: Sequence[str] = (CPU,),
    repack: bool = False,
) -> onnxruntime.InferenceSession:
    """ONNX Runtime on `model`, optimised where that only rounds anew, and with inner values as further outputs.

    The first of `providers` that carries an operator runs it, on up to `threads` threads. `deterministic` asks for
    kernels that give the same bits at every run. Weights over `onnx_file.EXTERNAL_LIMIT` are not copied: they are read
    from the file that the model's references lead to, or from one that is gone once the session is open. With `repack`
    they are laid out anew for the fastest products all the same, which takes their size once more.

    Raises what ONNX Runtime raises for a model that it does not run.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.use_deterministic_compute = deterministic
    options.log_severity_level = FATAL_ONLY
    for option, word in EXACT_ONLY.items():
        options.add_session_config_entry(option, word)
    model = _with_outputs(model, extra_outputs)
    if sum(map(stored_size, model.graph.initializer)) <= onnx_file.EXTERNAL_LIMIT:
        return onnxruntime.InferenceSession(onnx_file.whole(model).SerializeToString(), options, list(providers))
    for option, word in () if repack else IN_PLACE.items():
        options.add_session_config_entry(option, word)
    forget(model)
    located = _located(model)
    if located is not None:
        content, folder = located
        options.add_session_config_entry(FOLDER, str(folder))
        return onnxruntime.InferenceSession(content, options, list(providers))
    with scratch_folder("graph") as folder:
        path = folder / "graph.onnx"
        onnx_file.write_model(model, path)
        return onnxruntime.InferenceSession(path, options, list(providers))


def _located(model: onnx.ModelProto) -> tuple[bytes, Path] | None:
    """The model's message, in which references are paths from a folder, and the folder.

    None where its large initialisers are no references, or do not lie in files of one folder.
    """
    if not all(is_reference(tensor) or stored_size(tensor) <= SMALL_TENSOR for tensor in model.graph.initializer):
        return None
    places = {source.word: source.place() for source in sources_of(model) if isinstance(source, MappedFile)}
    if len(places) < len(sources_of(model)) or len({folder for folder, _ in places.values()}) != 1:
        return None
    copy = deepcopy(model)
    for tensor in copy.graph.initializer:
        for entry in tensor.external_data if is_reference(tensor) else ():
            entry.value = places[entry.value][1] if entry.key == "location" else entry.value
    return copy.SerializeToString(), next(iter(places.values()))[0].resolve()


def _with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """`model` itself if it has these outputs, else a copy that does."""
    present = {value.name for value in model.graph.output}
    missing = [name for name in dict.fromkeys(names) if name not in present]
    if missing:
        model = deepcopy(model)
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in missing)
    return model
