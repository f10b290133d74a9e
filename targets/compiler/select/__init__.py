"""Which kernel a matrix or convolution gets, and what it is estimated to cost.

Imports nouns, what lies below `compiler`, `lower`, `compiler.lower.lowerings` and `program`.
"""
