"""Somebody's ONNX graph of one tick: its states by name, constants folded, recurrent and quantised operators expanded.

Imports nouns, `shared` and `parity`.
"""
