"""The kernels of a compiled step, as scheduled TIR functions with constant shapes, in the one reduction order.

Imports nouns, `precision`, `tir_builder` and `exact`.
"""
