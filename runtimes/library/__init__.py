"""A bundle's shared library in this process: loaded from the bytes that were hashed, its description compared.

Imports nouns and `astroedge.abi`; NumPy and the standard library alone.
"""
