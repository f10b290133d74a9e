"""A step for a GPU: which kernel each call gets and when it runs, and the CUDA C of the one kernel that is the step.

Imports nouns, what lies below `compiler`, `compiler.lower.lowerings`, `lower`, `program`, `select`,
`threads` and `emit`.
"""
