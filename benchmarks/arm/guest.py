"""Runs steps between marks that `count_blocks.c` sees; on the emulated processor, with NumPy and ONNX Runtime alone.

    python guest.py CASES           CASES is a JSON file: a list of {"kind", "step", "inputs", "ticks"}

`kind` is "run" (one native call for all ticks), "step" (a call from Python for each), or "onnxruntime" (each by a call
of `run_with_iobinding`); "step" a bundle, or an ONNX file; "inputs" an .npz file of what goes in by name, `(T, 1, …)`.
A case makes three marks: before it runs `ticks` ticks from the initial state, after that, and after twice as many from
the initial state again.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import astroedge
from astroedge.abi.aligned import aligned_zeros


def main() -> None:
    """Run all cases of the file that is named."""
    with open(sys.argv[1], encoding="utf-8") as file:
        cases = json.load(file)
    gc.disable()  # which would begin at any time
    for case in cases:
        with np.load(case["inputs"]) as stored:
            inputs = {name: stored[name] for name in stored.files}
        run = onnx_run(case["step"], inputs) if case["kind"] == "onnxruntime" else step_run(case, inputs)
        run(2 * case["ticks"])  # what only a first call does
        gc.collect()
        mark()
        run(case["ticks"])
        mark()
        run(2 * case["ticks"])
        mark()


def mark() -> None:
    """A system call that nobody makes by chance."""
    os.getsid(0)


def step_run(case: dict[str, Any], inputs: dict[str, Any]) -> Callable[[int], None]:
    """A function that runs so many ticks of a bundle from the initial state."""
    session = astroedge.load(case["step"])

    def run(ticks: int) -> None:
        session.reset()
        if case["kind"] == "run":
            session.run(**{name: array[:ticks] for name, array in inputs.items()})
            return
        for tick in range(ticks):
            session.step(**{name: array[tick] for name, array in inputs.items()})

    return run


def onnx_run(path: str, inputs: dict[str, Any]) -> Callable[[int], None]:
    """The same of an ONNX file; its state goes back and forth between two sets of buffers, bound once."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    fed = {item.name: _buffer(item) for item in session.get_inputs() if item.name in inputs}
    states = [item for item in session.get_inputs() if item.name not in inputs]
    given = [item for item in session.get_outputs() if not item.name.startswith("next.")]
    sides = [{item.name.removeprefix("state."): _buffer(item) for item in states} for _ in range(2)]
    bindings = []
    for taken, written in (sides, sides[::-1]):
        binding = session.io_binding()
        for name, array in (*fed.items(), *((f"state.{name}", array) for name, array in taken.items())):
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
        outputs = [(item.name, _buffer(item)) for item in given]
        for name, array in (*outputs, *((f"next.{name}", array) for name, array in written.items())):
            binding.bind_ortvalue_output(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
        bindings.append(binding)

    def run(ticks: int) -> None:
        for array in sides[0].values():
            array[...] = 0
        order = list(bindings)
        for tick in range(ticks):
            for name, array in fed.items():
                array[...] = inputs[name][tick]
            session.run_with_iobinding(order[0])
            order.reverse()

    return run


def _buffer(item: Any) -> Any:
    """Zeros for an input or output of an ONNX Runtime session, at an aligned address."""
    dtype = np.dtype({"float": "float32", "double": "float64"}.get(word := item.type[7:-1], word))
    size = int(np.prod(item.shape)) * dtype.itemsize
    return aligned_zeros(size).view(dtype).reshape(item.shape)


if __name__ == "__main__":
    main()
