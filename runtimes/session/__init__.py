"""The noun Session as it runs a compiled step: inputs, state, threads, Ctrl-C, errors.

Imports nouns, `astroedge.abi` and `library`; NumPy and the standard library alone.
"""
