"""Convolutions, event-driven and dense, all in the one order of additions.

Imports nouns, `boards`, `precision`, `tir_builder` and what lies in `kernels` itself.
"""
