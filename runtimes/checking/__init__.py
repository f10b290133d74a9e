"""Is a compiled step right: its golden trace on any device, the forced rule beside ONNX Runtime on a host.

Imports nouns, `session` and `runtimes` itself; ONNX Runtime where it is used.
"""
