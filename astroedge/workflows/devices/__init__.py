"""Boards that OpenSSH reaches: connected to, recognised, given files, asked to work, left as they were.

Imports nouns, `targets.families` and `targets.boards`.
"""
