"""A step for a GPU: which kernel of the CUDA C library each product gets.

Imports nouns, what lies below `compiler`, `lower`, `compiler.lower.lowerings`, `program` and `select`.
"""
