"""The tick of a GPU: which call runs how and when, and the CUDA C of the one kernel that is the step.

Imports nouns, what lies below `compiler`, `lower`, `program`, `select`, `threads` and `emit`.
"""
