"""From ONNX to TVM functions: the import, where spikes are, one function for every operator.

Imports nouns, what lies below `compiler`, `expand` and `compiler.lower.lowerings`.
"""
