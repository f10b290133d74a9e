"""How a model is called for one tick: its signature, its states in their nesting, its example data.

Imports nouns and `shared`.
"""
