"""The model as a pure function of its state, with names for what goes in and comes out.

Imports nouns, `shared`, `step_call`, `state` and `frameworks`.
"""
