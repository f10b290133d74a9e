"""Matrix products and embeddings, event-driven and dense, all in the one order of additions.

Imports nouns, `boards`, `tir_builder`, `exact`, `precision`, `schedule` and what lies in `kernels` itself.
"""
