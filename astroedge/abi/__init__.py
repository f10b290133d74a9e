"""The binary interface of a compiled step: the C header, the same in Python, the numbers both sides must agree on.

The one contract of compiler and runtimes. Imports NumPy, nothing else.
"""
