"""Convolutions, event-driven and dense, all in the one order of additions.

Imports nouns, `families`, `boards`, `precision`, `tir_builder`, `exact`, `schedule`, `kernels.products` and what lies
in `kernels` itself.
"""
