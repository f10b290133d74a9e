"""The noun StepGraph: one tick as an ONNX file that says what its states are, and what is read from such a graph.

Imports `errors`, `host_package`, `abi` and `parity`; ONNX and ONNX Runtime where they are used. `spec` alone is needed
on a device.
"""
