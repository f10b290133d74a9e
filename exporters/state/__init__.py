"""What a model remembers: where, how it is found by stepping, and which of it no graph can carry.

Imports nouns, `shared` and `step_call`.
"""
