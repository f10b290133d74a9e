"""Is a compiled step right: its golden trace on any device, the forced rule beside ONNX Runtime on a host.

Imports nouns, `library` and `session`; ONNX Runtime where it is used.
"""
