"""The noun StepGraph: one tick as an ONNX file that says what its states are, and what is read from such a graph.

Imports `errors`, `host_package`, `strict_json`, `scratch`, `regular_file`, `replace_file`, `abi` and `parity`;
ONNX and ONNX Runtime where they are used. On a device `spec`, `assets` and `tokenizer_file` alone are needed.
"""
