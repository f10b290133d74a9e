"""The graph in ONNX Runtime: how often its tensors fire, and whether it does what the model does.

Imports nouns and `graph`.
"""
