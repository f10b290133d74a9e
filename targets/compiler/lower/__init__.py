"""From ONNX to TVM functions: the import, where spikes are, one function for every operator.

Imports nouns and what lies below `compiler`.
"""
