"""A tick divided among a team of threads.

Imports nouns, what lies below `compiler`, and `program`.
"""
