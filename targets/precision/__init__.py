"""What weights are stored in: the formats, the rules that choose one for each matrix, and quantising.

Imports nouns.
"""
