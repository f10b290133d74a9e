"""A step on a board, worked for a host: what is asked for comes as JSON, what was found goes back.

Imports nouns, `session`, `runtimes` itself, `generation`, `checking` and `profiling`.
"""
