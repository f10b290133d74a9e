"""Matrix products and embeddings, event-driven and dense, all in the one order of additions.

Imports nouns, `families`, `boards`, `precision`, `tir_builder`, `exact`, `schedule` and what lies in `kernels` itself.
"""
